"""The readout: fully sampled, so one inverse FFT along kx leads to hybrid space and the oversampling can be dropped."""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.gpu.fourier import phase_of_shift
from knerve.recon.hybrid import HybridScan
from knerve.recon.scan import RawScan

CACHE_BYTES = 1 << 20  # of readouts mixed at once


def to_hybrid_space(scan: RawScan, calibration: Tensor | None, mixing: Tensor | None = None) -> HybridScan:
    """Inverse FFT along kx, drop the readout oversampling, and put the phase encodes last; only sampled lines are touched.

    Args:
        scan: whitened scan, or a raw one and the matrix that whitens it.
        calibration: (slice, coil, [kz,] ky, kx) from `calibration_lines`, whitened, kept uncropped: where the object folds over
            the cut edges, the coils no longer explain the data.
        mixing: `(new coil, coil)`, applied on the way, when half of the samples are gone already.
    """
    columns = n_columns(scan)
    n_coils = scan.n_coils if mixing is None else mixing.shape[0]
    shape = (scan.n_slices, columns, n_coils, *scan.kspace.shape[2:-1])
    kspace = torch.zeros(shape, dtype=scan.kspace.dtype, device=scan.kspace.device)
    if kspace.is_cuda:
        from knerve.recon.cuda_readout import fill_columns

        fill_columns(kspace, scan, mixing)
    else:
        _fill_columns(kspace, scan, mixing)
    return HybridScan(
        kspace=kspace,
        counts=scan.counts,
        calibration=calibration,
        calibration_fov=_calibration_fov(scan, columns),
    )


def _fill_columns(kspace: Tensor, scan: RawScan, mixing: Tensor | None) -> None:
    """Put the columns of the sampled lines of `scan` into hybrid `kspace (slice, x, new coil, [kz,] ky)`."""
    for slice_kspace, slice_counts, target in zip(scan.kspace, scan.counts, kspace, strict=True):
        lines = torch.nonzero(slice_counts.flatten() > 0)[:, 0]
        if len(lines) == 0:
            continue
        readouts = _columns(slice_kspace.flatten(1, -2), lines, kspace.shape[1])
        n_pieces = -(-readouts.numel() * readouts.itemsize // CACHE_BYTES)
        for piece, place in zip(readouts.chunk(n_pieces), target.flatten(2).chunk(n_pieces), strict=True):
            place.index_copy_(2, lines, piece if mixing is None else mixing @ piece)


def _columns(kspace: Tensor, lines: Tensor, n_columns: int) -> Tensor:
    """The central columns of some lines after the centred inverse FFT, (x, coil, chosen line), from (coil, line, kx).

    Coil by coil, so that a coil stays in the processor's cache. The shift of the origin before the FFT is a phase after it, the
    shift after it an exchange of halves.
    """
    n_coils, _, n = kspace.shape
    columns = kspace.new_empty(n_columns, n_coils, len(lines))
    left = n_columns // 2
    for coil in range(n_coils):
        transformed = torch.fft.ifft(kspace[coil].index_select(0, lines), norm="ortho")
        columns[:left, coil] = transformed[:, n - left :].T
        columns[left:, coil] = transformed[:, : n_columns - left].T
    phase = phase_of_shift(n, n_columns).to(columns)
    columns *= (phase.real if n % 2 == 0 else phase)[:, None, None]
    return columns


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
