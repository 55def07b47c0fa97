"""Scans of one slice that differ in their noise alone: the same lines, and so the same aliasing, in every draw."""

from __future__ import annotations

from dataclasses import replace

from knee_slices import KneeSlice
from torch import Tensor

from knerve.recon.scan import RawScan


def noise_draw(slice_: KneeSlice, counts: Tensor, muscle_snr: float, seed: int) -> RawScan:
    """The scan with these lines.

    Args:
        slice_: fully sampled, without noise.
        counts: (slice, ky) of a scan of it.
        muscle_snr: as of `KneeSlice.at`.
        seed: of the noise.
    """
    full = slice_.at(1.0, muscle_snr, seed)
    return replace(full, kspace=full.kspace * counts[:, None, :, None], counts=counts)
