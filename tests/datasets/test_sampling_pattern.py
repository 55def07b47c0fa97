"""Patterns get their right names and numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from knerve.datasets.sampling_pattern import describe_sampling, pattern_of
from knerve.recon.scan import Calibration, Frame, Grid, RawScan, ScanHeader


def lines(n: int, *sampled: range) -> Tensor:
    mask = torch.zeros(n, dtype=torch.bool)
    for part in sampled:
        mask[list(part)] = True
    return mask


def scan_of(
    counts: Tensor, *, fov_y: tuple[float, float] = (100.0, 100.0), sampled_kx: tuple[int, int] = (0, 32)
) -> RawScan:
    n_y = counts.shape[-1]
    n_z = counts.shape[-2] if counts.ndim == 3 else 1
    samples = (counts > 0)[:, None, ..., None].expand(-1, 2, *counts.shape[1:], 32)
    return RawScan(
        kspace=samples.to(torch.complex64),
        counts=counts.to(torch.int32),
        frames=tuple(Frame(slice=s) for s in range(len(counts))),
        grid=Grid((32, n_y, n_z), (200.0, fov_y[0], 3.0 * n_z), (16, n_y, n_z), (100.0, fov_y[1], 3.0 * n_z)),
        sampled_kx=sampled_kx,
        header=ScanHeader(acceleration_asked=(3.0, 1.0)),
    )


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (lines(64, range(64)), "full"),
        (lines(64, range(20, 64)), "full"),
        (lines(64, range(0, 64, 3)), "regular, R = 3"),
        (lines(64, range(1, 64, 4), range(24, 40)), "regular, R = 4"),
        (lines(64, range(0, 32, 3), range(24, 40), range(40, 64, 2)), "irregular"),
        (lines(64), "empty"),
    ],
)
def test_one_dimensional_patterns(mask: Tensor, name: str) -> None:
    assert pattern_of(mask) == name


def test_random_lines_are_irregular_or_of_variable_density() -> None:
    generator = torch.Generator().manual_seed(0)
    ky = torch.arange(256) - 128
    chance = torch.rand(256, generator=generator)
    centre = ky.abs() < 12
    assert pattern_of((chance < 0.3) | centre) == "irregular"
    assert pattern_of((chance < 0.6 * (1 - ky.abs() / 128)) | centre) == "variable density"


def test_two_dimensional_patterns() -> None:
    kz, ky = torch.meshgrid(torch.arange(48) - 24, torch.arange(64) - 32, indexing="ij")
    centre = (kz.abs() < 6) & (ky.abs() < 6)
    inside = (kz / 24) ** 2 + (ky / 32) ** 2 <= 1
    generator = torch.Generator().manual_seed(1)
    chance = torch.rand(48, 64, generator=generator)
    assert pattern_of(torch.ones(48, 64, dtype=torch.bool)) == "full"
    assert pattern_of(inside) == "full, elliptical"
    assert pattern_of(((kz % 2 == 0) & (ky % 3 == 0)) | centre) == "regular, R = 3 x 2"
    shifted = (kz % 2 == 0) & ((ky + kz // 2) % 4 == 0)
    assert pattern_of(shifted | centre) == "regular, R = 4 x 2, shifted from row to row"
    assert pattern_of((chance < 0.3) | centre) == "random"
    assert (
        pattern_of((chance < 0.6 * (1 - torch.maximum(kz.abs() / 24, ky.abs() / 32))) | centre)
        == "random, variable density"
    )
    kept_apart = torch.zeros(48, 64, dtype=torch.bool)
    for place in torch.randperm(48 * 64, generator=generator).tolist():
        z, y = divmod(place, 64)
        if not bool(kept_apart[max(0, z - 1) : z + 2, max(0, y - 1) : y + 2].any()):
            kept_apart[z, y] = True
    assert pattern_of(kept_apart | centre) == "Poisson-disc-like"


def test_numbers_of_a_partial_fourier_scan_with_phase_oversampling() -> None:
    counts = torch.zeros(2, 80)
    counts[:, 30:80:2] = 1
    counts[:, 32:48] = 2
    counts[1, 78] = 0
    sampling = describe_sampling(scan_of(counts, fov_y=(125.0, 100.0), sampled_kx=(8, 32)))
    assert sampling.lines_sampled == (32, 33)
    assert sampling.acceleration_net == pytest.approx(80 / 32)
    assert sampling.acceleration_image == pytest.approx(80 / 32 / 1.25)
    assert sampling.acceleration_asked == (3.0, 1.0)
    assert sampling.phase_oversampling == (1.25, 1.0)
    assert sampling.partial_fourier[0] == pytest.approx((39 + 10) / 78)
    assert sampling.partial_fourier[1] == 1
    assert sampling.echo_fraction == pytest.approx(24 / 32)
    assert sampling.largest_gap == 2
    assert sampling.averages == (1, 2)
    assert sampling.calibration_lines == (17, 17)
    assert sampling.calibration_mode == "embedded"
    assert not sampling.same_for_all_images


def test_the_image_with_the_narrowest_centre_decides() -> None:
    counts = torch.zeros(2, 64)
    counts[:, ::4] = 1
    counts[0, 20:44] = 1
    counts[1, 28:36] = 1
    assert describe_sampling(scan_of(counts)).calibration_lines == (9, 9)


def test_separate_calibration_lines_count() -> None:
    counts = torch.zeros(1, 64)
    counts[:, ::4] = 1
    scan = scan_of(counts)
    assert describe_sampling(scan).calibration_mode == "none"
    separate = Calibration(
        torch.ones(1, 2, 24, 32, dtype=torch.complex64), torch.ones(1, 24), (0,), (200.0, 100.0, 3.0)
    )
    sampling = describe_sampling(
        RawScan(scan.kspace, scan.counts, scan.frames, scan.grid, scan.sampled_kx, calibration=separate)
    )
    assert sampling.calibration_mode == "separate"
    assert sampling.calibration_lines == (24, 24)


def test_volumes_report_both_phase_encode_directions() -> None:
    counts = torch.zeros(1, 20, 64)
    counts[:, :, ::2] = 1
    counts[:, 6:14, 24:40] = 1
    sampling = describe_sampling(scan_of(counts))
    assert sampling.pattern == "regular, R = 2 x 1"
    assert sampling.largest_gap is None
    assert sampling.calibration_lines == (17, 8)
