"""The readout's transform on a GPU: many slices at once instead of `readout.py`'s coil by coil."""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.gpu.fourier import phase_of_shift
from knerve.recon.scan import RawScan

AT_ONCE_BYTES = 1 << 30  # of readouts


def fill_columns(kspace: Tensor, scan: RawScan, mixing: Tensor | None) -> None:
    """Put the columns of the sampled lines into hybrid space, see `readout.to_hybrid_space`.

    Args:
        kspace: (slice, x, new coil, [kz,] ky), zero.
        scan: on the same device.
        mixing: `(new coil, coil)` or None.
    """
    counts = scan.counts.flatten(1)
    are_alike = bool((counts == counts[:1]).all())
    slice_bytes = max(1, scan.kspace[0].numel() * scan.kspace.itemsize)
    at_once = max(1, AT_ONCE_BYTES // slice_bytes) if are_alike else 1
    for first in range(0, len(counts), at_once):
        some = slice(first, first + at_once)
        lines = torch.nonzero(counts[first] > 0)[:, 0]
        readouts = _columns(scan.kspace[some].flatten(2, -2).index_select(2, lines), kspace.shape[1], mixing)
        kspace[some].flatten(3).index_copy_(3, lines, readouts)


def _columns(readouts: Tensor, n_columns: int, mixing: Tensor | None) -> Tensor:
    """The central columns (slice, x, new coil, line) of readouts (slice, coil, line, kx)."""
    n, left = readouts.shape[-1], n_columns // 2
    transformed = torch.fft.ifft(readouts, norm="ortho")
    columns = torch.cat([transformed[..., n - left :], transformed[..., : n_columns - left]], dim=-1)
    if mixing is not None:
        columns = (mixing.to(columns.device) @ columns.flatten(2)).unflatten(2, columns.shape[2:])
    columns *= phase_of_shift(n, n_columns).to(columns)
    return columns.permute(0, 3, 1, 2)
