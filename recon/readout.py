"""The readout: fully sampled, so one inverse FFT along kx leads to hybrid space and the oversampling can be dropped."""

from __future__ import annotations

from torch import Tensor

from knerve.gpu.fourier import resize_centred, to_image
from knerve.recon.hybrid import HybridScan
from knerve.recon.scan import RawScan


def to_hybrid_space(scan: RawScan, calibration: Tensor | None) -> HybridScan:
    """Inverse FFT along kx, drop the readout oversampling, and put the phase encodes last.

    Args:
        scan: whitened scan.
        calibration: (slice, coil, [kz,] ky, kx) from `calibration_lines`, kept uncropped: where the object folds over the cut
            edges, the coils no longer explain the data.
    """
    columns = n_columns(scan)
    hybrid = resize_centred(to_image(scan.kspace, dims=(-1,)), -1, columns)
    return HybridScan(
        kspace=hybrid.movedim(-1, 1).contiguous(),
        counts=scan.counts,
        calibration=calibration,
        calibration_fov=_calibration_fov(scan, columns),
    )


def n_columns(scan: RawScan) -> int:
    """Columns of the reconstructed field of view at the acquired resolution."""
    encoded, fov = scan.grid.encoded_matrix[0], scan.grid.encoded_fov_mm[0]
    return min(encoded, max(1, round(encoded * scan.grid.recon_fov_mm[0] / fov)))


def _calibration_fov(scan: RawScan, columns: int) -> tuple[float, float, float]:
    """Field of view of the calibration samples over that of the hybrid image, (x, y, z)."""
    cropped = columns / scan.grid.encoded_matrix[0]
    if scan.calibration is None:
        return 1 / cropped, 1.0, 1.0
    x, y, z = (c / e for c, e in zip(scan.calibration.fov_mm, scan.grid.encoded_fov_mm, strict=True))
    return x / cropped, y, z
