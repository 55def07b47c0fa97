"""The extent of k-space that was acquired: it sets the resolution of the unknowns.

Lines beyond the outermost one acquired (on both sides: phase resolution below 100 %) are not missing data to be unfolded but
resolution that was never asked for. Solving on the acquired extent keeps the problem well posed; the finished image is
interpolated to the grid that the header asks for.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from knerve.recon.scan import RawScan

MARGIN = 0.05  # of the matrix; a random pattern may miss its outermost lines by chance


def crop_to_acquired(scan: RawScan) -> RawScan:
    """The scan with its phase-encode axes cropped symmetrically about the centre to what was acquired."""
    for axis in range(scan.counts.ndim - 1):
        others = [d for d in range(scan.counts.ndim) if d != axis + 1]
        sampled = (scan.counts > 0).to(torch.int8).amax(dim=others) > 0
        n = sampled.shape[0]
        size = acquired_size(sampled.cpu())
        if size < n:
            start = n // 2 - size // 2
            scan = replace(
                scan,
                kspace=scan.kspace.narrow(2 + axis, start, size),
                counts=scan.counts.narrow(1 + axis, start, size),
            )
    return scan


def acquired_size(sampled: Tensor) -> int:
    """Lines of the smallest symmetric (even) matrix that holds every sampled line of `sampled (k)`; n if nearly all of it."""
    n = sampled.shape[0]
    places = torch.nonzero(sampled)[:, 0]
    if places.numel() < 2:
        return n
    half = max(n // 2 - int(places[0]), int(places[-1]) - n // 2 + 1)
    largest_gap = int(places.diff().max())
    margin = n // 2 - half
    return n if margin <= max(MARGIN * n / 2, 2 * largest_gap) else min(n, 2 * half)
