"""Padding to a fast length changes the grid on which is solved, not the image."""

import pytest
import torch

from knerve.recon import transform_length
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.hybrid import HybridScan
from knerve.recon.pipeline import reconstruct
from knerve.recon.regularisation import FRACTION_POWER, automatic_weight
from knerve.recon.settings import Settings
from knerve.recon.transform_length import lines_after_padding, pad_phase_encodes


def hybrid(n, is_3d=False):
    shape = (1, 5, 2, 4, n) if is_3d else (1, 5, 2, n)
    counts = torch.ones((1, 4, n) if is_3d else (1, n), dtype=torch.int32)
    return HybridScan(torch.ones(shape, dtype=torch.complex64), counts, None, (1.0, 1.0, 1.0))


@pytest.mark.parametrize(("n", "length"), [(92, 96), (96, 96), (31, 31), (91, 96)])
def test_added_lines_are_zero_count_as_measured_and_leave_the_centre_the_centre(n, length):
    scan = hybrid(n)
    scan.counts[0, ::2] = 0
    scan.counts[0, 1] = 3
    padded = pad_phase_encodes(scan)
    assert padded.kspace.shape == (1, 5, 2, length)
    assert padded.added_lines == length - n
    first = length // 2 - n // 2
    expected = [1.0 if first <= k < first + n else 0.0 for k in range(length)]
    assert padded.kspace[0, 0, 0].real.tolist() == expected
    outside = [k for k in range(length) if not expected[k]]
    assert padded.counts[0, first : first + n].tolist() == scan.counts[0].tolist()
    assert padded.counts[0, outside].tolist() == [3] * (length - n)
    lines = (slice(n // 2 - 3, n // 2 + 4),)
    assert lines_after_padding(lines, padded) == (slice(length // 2 - 3, length // 2 + 4),)


def test_the_automatic_weight_does_not_count_them():
    generator = torch.Generator().manual_seed(0)
    maps = torch.ones(1, 8, 1, 1, 96, dtype=torch.complex64)
    right_side = 1e-4 * torch.randn(1, 8, 1, 96, dtype=torch.complex64, generator=generator)
    scan = hybrid(92)
    scan.counts[0, ::2] = 0
    padded = pad_phase_encodes(scan)
    own = automatic_weight(CartesianEncoding(maps, padded.counts, added_lines=4), right_side)
    as_measured = automatic_weight(CartesianEncoding(maps, padded.counts), right_side)
    assert float(own) == pytest.approx((0.5 / (50 / 96)) ** FRACTION_POWER * float(as_measured))


def test_3d_scans_are_left_as_they_are():
    scan = hybrid(92, is_3d=True)
    assert pad_phase_encodes(scan) is scan


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [(Settings(method="zero-filled"), 1e-4), (Settings(method="sense"), 0.02), (Settings(method="cs"), 0.03)],
)
@pytest.mark.parametrize("partial", [False, True])
def test_the_image_and_its_noise_stay_the_same(settings, tolerance, partial, make_scan, monkeypatch):
    lines = (torch.arange(92) % 2 == 0) | ((torch.arange(92) - 46).abs() < 14)
    lines &= torch.arange(92) > (18 if partial else -1)
    scan = make_scan(n_y=92, n_x=92, counts=lines.int(), snr=60).scan
    padded = reconstruct(scan, settings)
    monkeypatch.setattr(transform_length, "fast_length", lambda n: n)
    plain = reconstruct(scan, settings)
    bright = plain.magnitude > 0.3 * plain.magnitude.max()
    difference = torch.linalg.vector_norm((padded.magnitude - plain.magnitude)[bright])
    # the maps are interpolated to another grid, and the solver may fill the lines beyond the scan's own
    assert difference < (0.01 + tolerance) * torch.linalg.vector_norm(plain.magnitude[bright])
    if plain.noise_level is not None and padded.noise_level is not None:
        ratio = (padded.noise_level / plain.noise_level)[bright]
        assert float(ratio.median()) == pytest.approx(1.0, abs=0.05)  # lines known to be empty help a little


def test_slices_side_by_side_give_the_same_images(make_scan):
    scan = make_scan(
        n_slices=5, n_y=96, snr=40, counts=((torch.arange(96) % 2 == 0) | ((torch.arange(96) - 48).abs() < 12)).int()
    ).scan
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = reconstruct(scan, Settings(method="cs", slices_per_batch=1))
        torch.set_num_threads(2)
        two = reconstruct(scan, Settings(method="cs", slices_per_batch=1))
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(one.image, two.image, atol=1e-4)
