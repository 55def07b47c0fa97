"""Hybrid space: the readout already transformed, so that every column x is a problem of its own along the phase encodes.

    kspace  (slice, x, coil, ky)       or (slice, x, coil, kz, ky)
    counts  (slice, ky)                or (slice, kz, ky)
    maps    (slice, x, set, coil, y)   or (slice, x, set, coil, z, y)
    image   (slice, x, set, y)         or (slice, x, set, z, y)

The phase-encode axis lies last and contiguous: it is the only one that is transformed again and again.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class HybridScan:
    """Whitened data of some slices in hybrid space, cropped along x to the field of view that is reconstructed.

    Attributes:
        kspace: complex64, zero where not sampled.
        counts: int32, readouts averaged per line; noise variance of a line is 1 / count.
        calibration: fully sampled central k-space before cropping, (slice, coil, [kz,] ky, kx); None where there is none.
        calibration_fov: (x, y, z) field of view that the sample spacing of `calibration` encodes, in units of the image's own.
        added_lines: of the lines along ky, how many lie outside of the acquired ones and count as zero.
    """

    kspace: Tensor
    counts: Tensor
    calibration: Tensor | None
    calibration_fov: tuple[float, float, float]
    added_lines: int = 0

    @property
    def mask(self) -> Tensor:
        """Sampled lines, bool."""
        return self.counts > 0

    @property
    def n_coils(self) -> int:
        """Number of (virtual) coils."""
        return self.kspace.shape[2]

    @property
    def is_3d(self) -> bool:
        """Whether partitions (kz) are encoded."""
        return self.kspace.ndim == 5
