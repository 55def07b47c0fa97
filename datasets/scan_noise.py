"""Noise of a simulated receiver: correlated between channels, stronger for wider bandwidths, repeatable."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from knerve.datasets.coil_array import LegArray, noise_mixing
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.datasets.slice_stack import ScanGrid

LEG_RADIUS_MM = 45.0  # about the array's centre: where the signal-to-noise ratio of muscle is meant
STREAMS = {"coupling": 1, "noise readouts": 2, "slice": 3, "fields": 4, "motion": 5}


@dataclass(frozen=True)
class ReceiverNoise:
    """The receiver's noise: `mixing (coil, coil)` of mean variance 1, and `density` as of `SimulationSettings`."""

    mixing: Tensor
    density: float

    def level(self, dwell_s: float) -> float:
        """Standard deviation of the real part of a whitened sample."""
        return self.density / math.sqrt(dwell_s)

    def draw(self, n_readouts: int, n_samples: int, dwell_s: float, generator: torch.Generator) -> Tensor:
        """Noise (readout, coil, sample), complex64."""
        white = torch.randn((n_readouts, len(self.mixing), n_samples), generator=generator, dtype=torch.complex64)
        return (self.mixing * (math.sqrt(2) * self.level(dwell_s))) @ white


def stream(seed: int, name: str, number: int = 0) -> np.random.SeedSequence:
    """Random numbers of one purpose, apart from those of every other."""
    return np.random.SeedSequence([seed, STREAMS[name], number])


def torch_generator(seeds: np.random.SeedSequence) -> torch.Generator:
    """A generator of torch with this seed."""
    return torch.Generator().manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1)))


def receiver_noise(
    settings: SimulationSettings, array: LegArray, grid: ScanGrid, muscle_amplitude: float
) -> ReceiverNoise:
    """The noise that the settings ask for; `muscle_amplitude` is its signal at the echo that reads ky = 0."""
    mixing = _mixing(settings)
    if settings.noise_density is not None:
        return ReceiverNoise(mixing, settings.noise_density)
    axis = torch.linspace(-LEG_RADIUS_MM, LEG_RADIUS_MM, 25, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    inside = x.square() + y.square() <= LEG_RADIUS_MM**2
    points = torch.stack([x[inside], y[inside], torch.zeros_like(x[inside])], dim=-1)
    heard = array.at_points(points + torch.tensor(array.centre_mm, dtype=torch.float64))
    combined = torch.linalg.solve(mixing, heard).abs().square().sum(0).sqrt().mean()
    signal = muscle_amplitude * float(combined) * image_scale(grid)
    return ReceiverNoise(mixing, signal / settings.muscle_snr * math.sqrt(grid.dwell_s))


def image_scale(grid: ScanGrid) -> float:
    """Pixel of an orthonormally transformed image over the signal of 1 mm³ that fills it."""
    x_mm, y_mm = grid.encoded_fov_mm
    return grid.thickness_mm * x_mm * y_mm / math.sqrt(grid.n_samples * grid.n_lines)


def _mixing(settings: SimulationSettings) -> Tensor:
    if settings.noise_covariance is None:
        generator = torch_generator(stream(settings.seed, "coupling"))
        return noise_mixing(settings.n_coils, settings.noise_coupling, generator)
    covariance = torch.from_numpy(np.asarray(settings.noise_covariance, dtype=np.complex128))
    scale = covariance.diagonal().real.mean()
    return torch.linalg.cholesky(covariance / scale).to(torch.complex64)
