"""Slices of digital knees as raw scans at any acceleration, signal-to-noise ratio and number of coils, with their truth.

A slice is simulated once, fully sampled and free of noise; lines are left out and noise is added afterwards.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from knee_contrasts import T2, one_slice
from numpy.typing import NDArray
from torch import Tensor

from knerve.bench.source import inside_of
from knerve.datasets.knee import digital_knee
from knerve.datasets.reading import read_raw
from knerve.datasets.simulate import simulate
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.datasets.training.lines import free_lines, regular_lines
from knerve.demo_stack import through_the_nerves
from knerve.gpu.fourier import to_image
from knerve.recon.noise import estimate_whitening, prewhiten
from knerve.recon.readout import to_hybrid_space
from knerve.recon.scan import RawScan
from knerve.sequences.sampling import variable_density

FEWEST_COILS = 8  # that are simulated; fewer are taken from among these
SIMULATED_SNR = 13.0
WIDE_CALIBRATION, NARROW_CALIBRATION = 32, 24  # lines, below and from R = 4 on
PROTOCOL = "spread:1"
HEIGHTS_MM = {1: 15.0, 2: -20.0}  # of axial slices from the joint; other knees are cut coronally, through the nerves


@dataclass(frozen=True)
class KneeSlice:
    """One fully sampled slice without noise.

    Attributes:
        scan: its raw data; the noise readouts are those of muscle at `SIMULATED_SNR`.
        truth: (y, x) root sum of squares of the whitened channels.
        colour: (coil, coil) turns white noise into that of the channels at `SIMULATED_SNR`.
    """

    scan: RawScan
    truth: NDArray[np.float32]
    colour: NDArray[np.complex128]

    def at(self, acceleration: float, muscle_snr: float, seed: int, pattern: str = PROTOCOL) -> RawScan:
        """The scan with lines left out, `lines` of this pattern, and noise added."""
        return self.with_lines(lines(pattern, self.scan.counts.shape[1], acceleration, seed), muscle_snr, seed)

    def with_lines(self, counts: Tensor, muscle_snr: float, seed: int) -> RawScan:
        """The scan with the lines of `counts (ky)` only, and noise added."""
        louder = SIMULATED_SNR / muscle_snr
        random = torch.Generator().manual_seed(seed)
        white = torch.randn(self.scan.kspace.shape[1:], generator=random, dtype=torch.complex64)
        colour = torch.from_numpy(louder * self.colour).to(torch.complex64)
        noisy = self.scan.kspace[0] + (colour @ white.flatten(1)).unflatten(1, white.shape[1:])
        noise = replace(self.scan.noise, samples=self.scan.noise.samples * louder) if self.scan.noise else None
        return replace(self.scan, kspace=(noisy * counts[:, None])[None], counts=counts[None], noise=noise)

    def error(self, image: NDArray[np.float32]) -> float:
        """NRMSE of a magnitude image (y, x) in the leg, after one real scale factor."""
        inside = inside_of(self.truth)
        found, expected = image[inside], self.truth[inside]
        scale = np.vdot(found, expected) / np.vdot(found, found)
        return float(np.linalg.norm(scale * found - expected) / np.linalg.norm(expected))


def lines(pattern: str, n_lines: int, acceleration: float, seed: int) -> Tensor:
    """Counts (ky) of a pattern.

    Args:
        pattern: "spread:P", `variable_density` with density power P, as protocols have it; "free:P", every line drawn by itself,
            so that chance leaves holes; or "regular", every n-th line, as parallel imaging has it, and the centre.
        n_lines: fully sampled.
        acceleration: of regular lines about that, of others exactly.
        seed: of the draw.
    """
    kind, _, power = pattern.partition(":")
    n_calibration = WIDE_CALIBRATION if acceleration < 4 else NARROW_CALIBRATION
    n_sampled, random = round(n_lines / acceleration), np.random.default_rng(seed)
    if kind == "spread":
        drawn = variable_density(n_lines, n_sampled, n_calibration=n_calibration, density_power=float(power), seed=seed)
        return torch.from_numpy(drawn.sampled.astype(np.int32))
    if kind == "free":
        return free_lines(n_lines, n_sampled, n_calibration, float(power), random)[0]
    return regular_lines(n_lines, acceleration, n_calibration, random)[0]


def knee_slice(seed: int, n_coils: int = 16, *, even: bool = False, contrast: str = T2) -> KneeSlice:
    """A slice of a seed's knee; `even` for BART, which moves images of odd sizes by a part of a pixel."""
    knee = digital_knee(seed, "left" if seed % 2 == 0 else "right")
    settings = SimulationSettings(seed=seed, orientation="axial")
    if seed in HEIGHTS_MM:
        x, y, z = knee.position_mm
        settings = replace(settings, centre_mm=(x, y, z + HEIGHTS_MM[seed]))
    else:
        settings = through_the_nerves(knee, seed)
    settings = replace(settings, noise_free=True, fully_sampled=True, n_coils=max(n_coils, FEWEST_COILS))
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw.h5")
        simulate(one_slice(contrast), knee, raw, settings=settings)
        scan = read_raw(raw)
    assert scan.noise is not None, "the simulator writes noise readouts"
    chosen = torch.arange(0, scan.n_coils, max(1, scan.n_coils // n_coils))
    noise = replace(scan.noise, samples=scan.noise.samples[chosen])
    scan = replace(scan, kspace=scan.kspace[:, chosen], noise=noise)
    if even:
        scan = _even(scan)
    covariance = (noise.samples @ noise.samples.mH).numpy() / noise.samples.shape[1] * noise.variance_scale
    columns = to_hybrid_space(prewhiten(scan, estimate_whitening(scan)[0]), None).kspace[0]
    truth = torch.linalg.vector_norm(to_image(columns, (2,)), dim=1).T.contiguous()
    return KneeSlice(scan, truth.numpy(), np.asarray(np.linalg.cholesky(covariance), np.complex128))


def _even(scan: RawScan) -> RawScan:
    """Without the last of an odd number of phase encodes; the centre stays at n // 2."""
    n_lines = scan.counts.shape[1] // 2 * 2
    matrices = {
        name: (matrix[0], matrix[1] // 2 * 2, matrix[2])
        for name, matrix in (("encoded_matrix", scan.grid.encoded_matrix), ("recon_matrix", scan.grid.recon_matrix))
    }
    return replace(
        scan,
        kspace=scan.kspace[:, :, :n_lines],
        counts=scan.counts[:, :n_lines],
        grid=replace(scan.grid, **matrices),
    )
