"""Synthetic multi-coil scans with known truth for the reconstruction tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from knerve.gpu.fourier import to_kspace
from knerve.recon.scan import Frame, Grid, Noise, RawScan
from knerve.sequences.sampling import variable_density


@dataclass(frozen=True)
class Truth:
    """A scan and what it shows: `image (slice, y, x)`, `maps (slice, coil, y, x)` with unit norm over the coils."""

    scan: RawScan
    image: Tensor
    maps: Tensor


def smooth_maps(n_slices: int, n_coils: int, n_y: int, n_x: int) -> Tensor:
    """Coil sensitivities of a ring of coils: smooth magnitudes and phases, unit norm."""
    y = torch.linspace(-1, 1, n_y)[:, None]
    x = torch.linspace(-1, 1, n_x)[None, :]
    maps = []
    for c in range(n_coils):
        angle = torch.tensor(2 * torch.pi * c / n_coils)
        cy, cx = 1.3 * torch.sin(angle), 1.3 * torch.cos(angle)
        distance = ((y - cy) ** 2 + (x - cx) ** 2).sqrt()
        maps.append(torch.polar(1 / (0.3 + distance**2), 0.8 * (y * torch.cos(angle) - x * torch.sin(angle)) + angle))
    stacked = torch.stack(maps)
    return (stacked / torch.linalg.vector_norm(stacked, dim=0)).expand(n_slices, -1, -1, -1).clone()


def round_object(n_y: int, n_x: int, radius: float = 0.7, texture: float = 0.0) -> Tensor:
    """A disc with structure and a smooth phase, (y, x); `texture` adds random variation as living tissue has it."""
    y = torch.linspace(-1, 1, n_y)[:, None]
    x = torch.linspace(-1, 1, n_x)[None, :]
    image = 1.0 * ((y**2 + x**2) < radius**2)
    image = image + 0.6 * (((y - 0.2) ** 2 + (x + 0.2) ** 2) < 0.04) - 0.5 * (((y + 0.25) ** 2 + x**2) < 0.03)
    image = image + 0.4 * ((y.abs() < 0.5) & (x > 0.1) & (x < 0.16))
    generator = torch.Generator().manual_seed(5)
    grain = torch.rand(1, 1, n_y // 4, n_x // 4, generator=generator)
    grain = torch.nn.functional.interpolate(grain, (n_y, n_x), mode="bilinear")[0, 0]
    return torch.polar((image * (1 + texture * (grain - 0.5))).float(), 0.5 * x + 0.3 * y)


def line_mask(n_y: int, acceleration: int, n_calibration: int) -> Tensor:
    """Every `acceleration`-th line through the centre, and a full centre."""
    lines = torch.arange(n_y)
    mask = (lines - n_y // 2) % acceleration == 0
    return mask | (
        (lines - n_y // 2 >= -(n_calibration // 2)) & (lines - n_y // 2 < n_calibration - n_calibration // 2)
    )


MakeScan = Callable[..., Truth]


@pytest.fixture
def make_scan() -> MakeScan:
    """Build a scan of the round object: noise of unit variance, signal of about `snr`."""

    def make(
        *,
        n_slices: int = 1,
        n_coils: int = 8,
        n_y: int = 96,
        n_x: int = 80,
        oversampling: int = 1,
        counts: Tensor | None = None,
        snr: float = 50.0,
        radius: float = 0.7,
        texture: float = 0.0,
        noise_readouts: bool = True,
        seed: int = 3,
    ) -> Truth:
        generator = torch.Generator().manual_seed(seed)
        maps = smooth_maps(n_slices, n_coils, n_y, n_x)
        image = snr * round_object(n_y, n_x, radius, texture).expand(n_slices, -1, -1).clone()
        wide = n_x * oversampling
        coil_images = torch.zeros(n_slices, n_coils, n_y, wide, dtype=torch.complex64)
        start = wide // 2 - n_x // 2
        coil_images[..., start : start + n_x] = maps * image[:, None]
        kspace = to_kspace(coil_images, (-2, -1))
        lines = (
            torch.ones(n_slices, n_y, dtype=torch.int32)
            if counts is None
            else counts.to(torch.int32).expand(n_slices, -1)
        )
        noise = torch.randn(kspace.shape, generator=generator, dtype=torch.complex64)
        kspace = kspace + noise / lines.clamp(min=1).sqrt()[:, None, :, None]
        kspace = kspace * (lines > 0)[:, None, :, None]
        readouts = torch.randn(n_coils, 4000, generator=generator, dtype=torch.complex64)
        scan = RawScan(
            kspace=kspace,
            counts=lines,
            frames=tuple(Frame(slice=s) for s in range(n_slices)),
            grid=Grid((wide, n_y, 1), (float(wide), float(n_y), 5.0), (n_x, n_y, 1), (float(n_x), float(n_y), 5.0)),
            sampled_kx=(0, wide),
            noise=Noise(readouts) if noise_readouts else None,
        )
        return Truth(scan, image, maps)

    return make


def relative_error(image: Tensor, truth: Tensor) -> float:
    """NRMSE of magnitudes after one real scale factor, over the object."""
    inside = truth.abs() > 0.05 * truth.abs().max()
    found, expected = image.abs()[inside], truth.abs()[inside]
    scale = (found * expected).sum() / found.square().sum()
    return float(torch.linalg.vector_norm(scale * found - expected) / torch.linalg.vector_norm(expected))


@pytest.fixture(name="relative_error")
def _relative_error() -> Callable[[Tensor, Tensor], float]:
    return relative_error


@pytest.fixture(name="random_lines")
def _random_lines() -> Callable[[int, float, int], Tensor]:
    """(n_y, acceleration, n_calibration) to a mask of lines in random order, denser towards the centre."""

    def mask(n_y: int, acceleration: float, n_calibration: int) -> Tensor:
        pattern = variable_density(n_y, round(n_y / acceleration), n_calibration=n_calibration, seed=0)
        return torch.from_numpy(pattern.sampled)

    return mask


@pytest.fixture(name="line_mask")
def _line_mask() -> Callable[[int, int, int], Tensor]:
    return line_mask


@pytest.fixture(name="smooth_maps")
def _smooth_maps() -> Callable[[int, int, int, int], Tensor]:
    return smooth_maps
