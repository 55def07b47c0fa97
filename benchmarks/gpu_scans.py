"""Scans for the GPU check, drawn in a second instead of simulated in minutes: a textured disc, a ring of coils, white noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.gpu.fourier import resize_centred, to_kspace
from knerve.recon.scan import Frame, Grid, Noise, RawScan

NOISE_SAMPLES = 8192
OVERSAMPLING = 2  # along the readout
N_RADII = 5  # of the discs of one slice after the other
FOV_MM, SLICE_MM = 160.0, 3.0


@dataclass(frozen=True)
class Sizes:
    """Of a scan.

    Attributes:
        n_slices: slices.
        n_columns: readout samples, without oversampling.
        n_lines: phase encodes of the grid.
        n_coils: channels.
        acceleration: grid lines over lines sampled.
        n_calibration: fully sampled lines about the centre.
        n_averages: readouts per sampled line.
        phase_oversampling: empty field of view along the phase encodes over the rest.
    """

    n_slices: int
    n_columns: int
    n_lines: int
    n_coils: int
    acceleration: float
    n_calibration: int = 32
    n_averages: int = 1
    phase_oversampling: float = 0.0

    @property
    def raw_bytes(self) -> int:
        """Of all sampled readouts, averages joined."""
        n_sampled = round(self.n_lines / self.acceleration)
        return 8 * self.n_slices * self.n_coils * n_sampled * self.n_columns * OVERSAMPLING


NAVIGATE = Sizes(15, 552, 484, 16, 3.0)
PLANNING = Sizes(54, 552, 968, 16, 6.0, n_averages=3, phase_oversampling=1.0)
SMALL = Sizes(3, 112, 104, 6, 2.0, 24)  # the network wants 96 pixels at least
SMALL_PLANNING = Sizes(3, 112, 208, 6, 4.0, 24, n_averages=3, phase_oversampling=1.0)


@dataclass(frozen=True)
class MadeScan:
    """A scan on the host and what it shows, `truth (slice, y, x)` in noise units of a fully sampled, once averaged image."""

    scan: RawScan
    truth: Tensor


def make_scan(sizes: Sizes, device: torch.device, snr: float = 25.0) -> MadeScan:
    """Draw a scan; the same numbers every time on one kind of device."""
    generator = torch.Generator(device=device).manual_seed(3)
    n_wide = sizes.n_columns * OVERSAMPLING
    counts = sampled_lines(sizes).to(torch.int32) * sizes.n_averages
    lines = torch.nonzero(counts)[:, 0]
    maps = ring_of_coils(sizes, device)
    kspace = torch.zeros(sizes.n_slices, sizes.n_coils, sizes.n_lines, n_wide, dtype=torch.complex64)
    truth = torch.empty(sizes.n_slices, sizes.n_lines, sizes.n_columns, dtype=torch.complex64)
    for s in range(sizes.n_slices):
        image = snr * disc(sizes, s, device)
        wide = resize_centred(maps * image, -1, n_wide)
        measured = to_kspace(wide, (-2, -1))[:, lines.to(device)]
        noise = torch.randn(measured.shape, dtype=torch.complex64, device=device, generator=generator)
        kspace[s, :, lines] = (measured + noise / sizes.n_averages**0.5).cpu()
        truth[s] = image.cpu()
    noise_samples = torch.randn(
        sizes.n_coils, NOISE_SAMPLES, dtype=torch.complex64, generator=torch.Generator().manual_seed(4)
    )
    fov_y = FOV_MM * (1 + sizes.phase_oversampling)
    recon_y = round(sizes.n_lines / (1 + sizes.phase_oversampling))
    scan = RawScan(
        kspace=kspace,
        counts=counts.expand(sizes.n_slices, -1).clone(),
        frames=tuple(Frame(slice=s) for s in range(sizes.n_slices)),
        grid=Grid(
            (n_wide, sizes.n_lines, 1),
            (FOV_MM * OVERSAMPLING, fov_y, SLICE_MM),
            (sizes.n_columns, recon_y, 1),
            (FOV_MM, FOV_MM, SLICE_MM),
        ),
        sampled_kx=(0, n_wide),
        noise=Noise(noise_samples),
    )
    return MadeScan(scan, resize_centred(truth, 1, recon_y))


def sampled_lines(sizes: Sizes) -> Tensor:
    """Variable density, bool (ky): a full centre, and lines that get rarer towards the edge; always the same."""
    n, wanted = sizes.n_lines, round(sizes.n_lines / sizes.acceleration)
    distance = (torch.arange(n) - n // 2).abs()
    order = torch.rand(n, generator=torch.Generator().manual_seed(1)) * (0.35 + 2 * distance / n)
    order[distance <= sizes.n_calibration // 2] = -1
    mask = torch.zeros(n, dtype=torch.bool)
    mask[order.argsort()[:wanted]] = True
    return mask


def ring_of_coils(sizes: Sizes, device: torch.device) -> Tensor:
    """Smooth sensitivities of unit norm, (coil, y, x)."""
    y, x = _positions(sizes, device)
    angle = 2 * torch.pi * torch.arange(sizes.n_coils, device=device)[:, None, None] / sizes.n_coils
    distance = (y - 1.3 * angle.sin()).square() + (x - 1.3 * angle.cos()).square()
    maps = torch.polar(1 / (0.3 + distance), 0.8 * (y * angle.cos() - x * angle.sin()) + angle)
    return maps / torch.linalg.vector_norm(maps, dim=0)


def disc(sizes: Sizes, number: int, device: torch.device) -> Tensor:
    """Slice `number` of the object, (y, x): a disc with holes, bars and a texture."""
    y, x = _positions(sizes, device)
    radius = 0.68 + 0.1 * (number % N_RADII) / N_RADII
    image = 1.0 * ((y**2 + x**2) < radius**2)
    image = image + 0.6 * (((y - 0.2) ** 2 + (x + 0.2) ** 2) < 0.04) - 0.5 * (((y + 0.25) ** 2 + x**2) < 0.03)
    for k in range(6):
        image = image + 0.4 * ((y.abs() < 0.4) & ((x - 0.1 - 0.03 * k).abs() < 0.002 * (k + 1)))
    grain = torch.rand(1, 1, sizes.n_lines // 4, sizes.n_columns // 4, generator=torch.Generator().manual_seed(number))
    fine = torch.nn.functional.interpolate(grain.to(device), (sizes.n_lines, sizes.n_columns), mode="bilinear")[0, 0]
    return torch.polar(image * (0.75 + 0.5 * fine), 0.5 * x + 0.3 * y)


def _positions(sizes: Sizes, device: torch.device) -> tuple[Tensor, Tensor]:
    """In units of half of the field of view without oversampling."""
    n_y, n_x = sizes.n_lines, sizes.n_columns
    y = (torch.arange(n_y, device=device) - n_y // 2) / (n_y / 2) * (1 + sizes.phase_oversampling)
    x = (torch.arange(n_x, device=device) - n_x // 2) / (n_x / 2)
    return y[:, None], x[None, :]
