"""Rows without any object are not solved, and it does not show."""

import pytest
import torch

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.methods import METHODS
from knerve.recon.object_rows import object_rows, on_rows, with_all_rows
from knerve.recon.settings import Settings

LINES = 240


def encoding_of(rows, n_slices=1):
    generator = torch.Generator().manual_seed(3)
    maps = torch.zeros(n_slices, 64, 1, 4, LINES, dtype=torch.complex64)
    for s, (first, last) in enumerate(rows):
        drawn = torch.randn(64, 1, 4, 1, dtype=torch.complex64, generator=generator)
        maps[s, :, :, :, first:last] = drawn / torch.linalg.vector_norm(drawn, dim=2, keepdim=True)
    counts = (torch.rand(n_slices, LINES, generator=generator) < 0.5).int()
    counts[:, LINES // 2 - 16 : LINES // 2 + 16] = 1
    return CartesianEncoding(maps, counts)


@pytest.mark.parametrize(
    ("seen", "rows"),
    [
        ((70, 160), slice(67, 163)),  # 90 rows become 96
        ((0, 40), slice(0, 64)),
        ((200, 240), slice(176, 240)),
        ((4, 236), slice(0, 240)),  # most of them
        ((0, 0), slice(0, 240)),  # nothing is seen
    ],
)
def test_finds_the_rows_of_the_object(seen, rows):
    assert object_rows(encoding_of([seen])) == rows


def test_the_encoding_of_some_rows_is_a_part_of_the_whole(randn):
    whole = encoding_of([(70, 160)])
    rows = object_rows(whole)
    part = on_rows(whole, rows)
    image = randn(part.image_shape)
    wide = with_all_rows(image, rows, LINES)
    torch.testing.assert_close(part.forward(image), whole.forward(wide))
    torch.testing.assert_close(part.normal(image), whole.normal(wide)[..., rows])
    kspace = randn(part.kspace_shape)
    torch.testing.assert_close(part.adjoint(kspace), whole.adjoint(kspace)[..., rows])


def test_compressed_sensing_finds_the_same_object(monkeypatch):
    encoding = encoding_of([(70, 160)])
    right_side = encoding.normal(
        50 * torch.randn(encoding.image_shape, generator=torch.Generator().manual_seed(0)) + 0j
    )
    settings = Settings(tolerance=0.2)
    some = METHODS["cs"](encoding, right_side, settings)
    monkeypatch.setattr("knerve.recon.methods.object_rows", lambda _: slice(0, LINES))
    every = METHODS["cs"](encoding, right_side, settings)
    assert not some[..., :67].any()
    assert not some[..., 163:].any()
    inside = slice(70, 160)
    # the wavelets' grid lies elsewhere, the image does not
    assert (some - every)[..., inside].norm() < 0.02 * every[..., inside].norm()


def test_a_slice_does_not_depend_on_its_neighbours(randn):
    encoding = encoding_of([(70, 160), (20, 200)], n_slices=2)
    right_side = encoding.normal(randn(encoding.image_shape))
    both = METHODS["cs"](encoding, right_side, Settings())
    for s in range(2):
        alone = METHODS["cs"](encoding.of_slice(s), right_side[s : s + 1], Settings())
        assert torch.equal(both[s : s + 1], alone)
