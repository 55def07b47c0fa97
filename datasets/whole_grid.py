"""What k-space that comes as one array, without counters, tells about its sampling: exact zeros were not sampled."""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.recon.errors import RawDataError, UnsupportedError

ZEROS_ALLOWED = 0.02  # of the samples inside sampled lines; simulated data hit exact zeros now and then


def require_finite(kspace: Tensor, source: str) -> None:
    """Refuse NaN and Inf in `kspace (slice, coil, ...)`, naming the first slice and coil that hold one.

    Raises:
        RawDataError: a sample is NaN or Inf.
    """
    for s, one_slice in enumerate(kspace):
        bad = ~torch.isfinite(torch.view_as_real(one_slice)).flatten(1).all(dim=1)
        if bool(bad.any()):
            coil = int(torch.nonzero(bad)[0, 0])
            raise RawDataError(
                f"{source} holds NaN or Inf samples, first in slice {s}, coil {coil}. Export the raw data again; "
                "a file that was converted or scaled may have overflowed."
            )


def sampled_lines(kspace: Tensor, source: str) -> Tensor:
    """Count 1 for every line that holds a sample other than zero: int32 (slice, [kz,] ky) of (slice, coil, [kz,] ky, kx).

    Raises:
        RawDataError: a slice holds no samples at all.
    """
    counts = torch.stack([(one_slice != 0).any(dim=-1).any(dim=0) for one_slice in kspace]).to(torch.int32)
    empty = torch.nonzero(counts.flatten(1).sum(1) == 0)
    if len(empty):
        raise RawDataError(f"{source} is zero everywhere in slice {int(empty[0, 0])}: no k-space was stored there.")
    return counts


def sampled_columns(kspace: Tensor, counts: Tensor, source: str) -> tuple[int, int]:
    """First and one past the last column that the sampled lines fill.

    Raises:
        UnsupportedError: the lines have holes, so the readout direction itself is undersampled.
    """
    columns = torch.zeros(kspace.shape[-1], dtype=torch.int64)
    for one_slice, lines in zip(kspace, counts, strict=True):
        columns += (one_slice[:, lines > 0] != 0).any(dim=0).sum(dim=0)
    filled = torch.nonzero(columns)[:, 0]
    first, last = int(filled[0]), int(filled[-1]) + 1
    zeros = 1 - float(columns.sum()) / (int((counts > 0).sum()) * (last - first))
    if zeros > ZEROS_ALLOWED:
        raise UnsupportedError(
            f"{source} is undersampled along the readout: {zeros:.0%} of the samples in its lines are zero. knerve needs "
            "fully sampled readouts; if both in-plane axes are phase encodes of a 3-D scan, store them as phase encodes 1 "
            "and 2 behind a readout axis."
        )
    return first, last
