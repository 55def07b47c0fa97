"""Reconstructed images, as the pipeline delivers them and every writer takes them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from knerve.recon.scan import Frame, Grid, ScanHeader

RESEARCH_USE = "Research use only: reconstructed by knerve, not a medical device, not for diagnosis."


@dataclass(frozen=True)
class NoiseReport:
    """Where the noise level came from and what whitening left: shown to the user with every image.

    `source` is "noise readouts", "k-space edge" or "assumed white". `standard_deviation` is per coil in raw units;
    `largest_correlation` between two coils before whitening.
    """

    source: str
    n_samples: int
    standard_deviation: tuple[float, ...]
    largest_correlation: float


@dataclass(frozen=True)
class ImageSeries:
    """A series of images in SNR units: the thermal noise of a fully sampled pixel has standard deviation 1 per real part.

    Attributes:
        image: complex64 on the reconSpace grid, (slice, y, x), or (slice, z, y, x) for 3-D scans; the centre of the field
            of view is at index n // 2; y runs along `phase_dir`, x along `read_dir`, z along `slice_dir`.
        noise_level: float32, same shape: local standard deviation of the noise in the same units, √R times the g-factor
            where R-fold undersampling was unfolded; None if not asked for.
        frames: one entry per index of the `slice` axis.
        grid: the scan's grid; `image` lies on its `recon_matrix` and `recon_fov_mm`.
        header: patient, study and sequence.
        method: how it was made: "zero-filled", "sense", "cs".
        settings: the settings in full, as plain names and values.
        noise: where the noise level came from.
        acceleration: grid lines over lines sampled.
        seconds: wall time of each stage.
        notes: every assumption made and problem met on the way.
    """

    image: Tensor
    frames: tuple[Frame, ...]
    grid: Grid
    header: ScanHeader
    method: str
    noise: NoiseReport
    acceleration: float
    noise_level: Tensor | None = None
    settings: dict[str, object] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def magnitude(self) -> Tensor:
        """Magnitude in SNR units, float32, the shape of `image`."""
        return self.image.abs()

    @property
    def snr(self) -> Tensor | None:
        """Local signal-to-noise ratio, magnitude over noise level; 0 where the coils see nothing. None without a noise level."""
        if self.noise_level is None:
            return None
        return torch.where(self.noise_level > 0.05, self.magnitude / self.noise_level.clamp(min=0.05), 0.0)

    @property
    def n_slices(self) -> int:
        """Number of images, or of volumes for 3-D scans."""
        return self.image.shape[0]

    @property
    def is_3d(self) -> bool:
        """Whether each entry is a volume (z, y, x)."""
        return self.image.ndim == 4
