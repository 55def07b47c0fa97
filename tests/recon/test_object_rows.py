"""Rows without any object are not solved, and it does not show."""

import pytest
import torch

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.methods import METHODS
from knerve.recon.object_rows import cut, object_rows, of_equal_height, on_rows, put_back
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
    assert object_rows(encoding_of([seen, (0, LINES)], n_slices=2)) == [rows, slice(0, LINES)]


def test_the_encoding_of_some_rows_is_a_part_of_the_whole(randn):
    whole = encoding_of([(70, 160)])
    rows = object_rows(whole)
    part = on_rows(whole, rows, [0])
    image = randn(part.image_shape)
    wide = torch.zeros(whole.image_shape, dtype=torch.complex64)
    put_back(wide, image, rows, [0])
    torch.testing.assert_close(part.forward(image), whole.forward(wide))
    torch.testing.assert_close(part.normal(image), cut(whole.normal(wide), rows, [0]))
    kspace = randn(part.kspace_shape)
    torch.testing.assert_close(part.adjoint(kspace), cut(whole.adjoint(kspace), rows, [0]))


def test_slices_of_equal_height_share_a_normal_operator_wherever_their_rows_begin(randn):
    whole = encoding_of([(70, 160), (20, 200), (100, 180)], n_slices=3)
    rows = object_rows(whole)
    assert [own.stop - own.start for own in rows] == [96, 192, 96]
    assert of_equal_height(rows) == [[0, 2], [1]]
    part = on_rows(whole, rows, [0, 2])
    image = randn(part.image_shape)
    wide = torch.zeros(whole.image_shape, dtype=torch.complex64)
    put_back(wide, image, rows, [0, 2])
    torch.testing.assert_close(part.normal(image), cut(whole.normal(wide), rows, [0, 2]))


def test_compressed_sensing_finds_the_same_object(monkeypatch):
    encoding = encoding_of([(70, 160)])
    right_side = encoding.normal(
        50 * torch.randn(encoding.image_shape, generator=torch.Generator().manual_seed(0)) + 0j
    )
    settings = Settings(tolerance=0.2)
    some = METHODS["cs"](encoding, right_side, settings)
    monkeypatch.setattr("knerve.recon.methods.object_rows", lambda _: [slice(0, LINES)])
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
