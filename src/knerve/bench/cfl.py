"""BART's own files: `NAME.hdr` with the dimensions as text, `NAME.cfl` with complex64 samples, first dimension fastest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.complex64]


def write_cfl(stem: Path, array: Array) -> None:
    """Write the pair."""
    stem.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, array.shape)) + "\n", encoding="utf-8")
    array.astype(np.complex64, copy=False).ravel(order="F").tofile(stem.with_suffix(".cfl"))


def read_cfl(stem: Path) -> Array:
    """Read the pair, in its own dimensions without the trailing ones of length 1."""
    text = stem.with_suffix(".hdr").read_text(encoding="utf-8").splitlines()[1]
    shape = [int(n) for n in text.split()]
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return np.fromfile(stem.with_suffix(".cfl"), np.complex64).reshape(shape, order="F")


def to_bart(kspace: Array) -> Array:
    """(coil, ky, kx) to BART's order: read, phase 1, phase 2, coil."""
    return kspace.transpose(2, 1, 0)[:, :, None, :]
