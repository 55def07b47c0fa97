"""Read a BART pair: `NAME.hdr` with the dimensions as text, `NAME.cfl` with complex64 samples, first dimension fastest.

The format carries no geometry, no noise and no protocol: the reader says what it assumed instead.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from knerve.datasets.whole_grid import require_finite, sampled_columns, sampled_lines
from knerve.recon.errors import RawDataError, UnsupportedError
from knerve.recon.scan import Frame, Grid, RawScan

DIMENSIONS = (
    "readout",
    "phase encode 1",
    "phase encode 2",
    "coil",
    "maps",
    "echo time",
    "coefficients",
    "coefficients 2",
    "iterations",
    "chemical shift",
    "time",
    "time 2",
    "levels",
    "slice",
    "average",
    "batch",
)
READ, PHASE_1, PHASE_2, COIL, TIME, SLICE = 0, 1, 2, 3, 10, 13
BYTES_PER_SAMPLE = 8
MAX_HEADER_BYTES = 1 << 20  # a header also lists the commands that made the file


def read_bart(path: Path) -> RawScan:
    """Read a BART file, named by its `.cfl`, its `.hdr` or the name without either.

    Dimensions readout, phase encodes 1 and 2, coil, time and slice are understood; every time point of every slice becomes
    one image. Lines that are exactly zero were not sampled.

    Raises:
        RawDataError: a half of the pair is missing, damaged or of another size than the header says; NaN or Inf samples.
        UnsupportedError: another dimension is larger than 1, or the readout itself is undersampled.
    """
    header, samples = bart_pair(path)
    for half in (header, samples):
        if not half.is_file():
            raise RawDataError(f"{half} is missing: BART data are a pair, NAME.hdr and NAME.cfl, in one folder.")
    dims = _read_dimensions(header)
    kspace = _read_samples(samples, dims)
    require_finite(kspace, samples.name)
    counts = sampled_lines(kspace, samples.name)
    n_time, n_slices = dims[TIME], dims[SLICE]
    matrix = (dims[READ], dims[PHASE_1], dims[PHASE_2])
    fov_mm = (float(matrix[0]), float(matrix[1]), float(matrix[2]))
    return RawScan(
        kspace=kspace,
        counts=counts,
        frames=tuple(Frame(slice=s, repetition=t) for t in range(n_time) for s in range(n_slices)),
        grid=Grid(matrix, fov_mm, matrix, fov_mm),
        sampled_kx=sampled_columns(kspace, counts, samples.name),
        notes=(
            "BART files carry no geometry: pixels of 1 mm, no readout oversampling and no position were assumed.",
            "BART files carry no noise readouts and no counters: lines that are exactly zero were taken as not sampled.",
        ),
    )


def bart_pair(path: Path) -> tuple[Path, Path]:
    """Header and samples of the pair that `path` names, whether they exist or not."""
    stem = path.with_suffix("") if path.suffix in (".cfl", ".hdr") else path
    return stem.with_name(stem.name + ".hdr"), stem.with_name(stem.name + ".cfl")


def _read_dimensions(header: Path) -> tuple[int, ...]:
    """The sixteen dimensions that the header lists."""
    if header.stat().st_size > MAX_HEADER_BYTES:
        raise RawDataError(f"{header} is {header.stat().st_size} bytes: not the short text of a BART header.")
    lines = header.read_bytes().decode("utf-8", errors="replace").splitlines()
    words = next((b.split() for a, b in pairwise(lines) if a.strip() == "# Dimensions"), [])
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words) or len(words) > len(DIMENSIONS):
        raise RawDataError(
            f"{header} is no BART header: after the line '# Dimensions' it must list up to {len(DIMENSIONS)} positive "
            f"numbers, but has {' '.join(words[:20]) or 'nothing'!r}."
        )
    dims = tuple(int(word) for word in words) + (1,) * (len(DIMENSIONS) - len(words))
    known = (READ, PHASE_1, PHASE_2, COIL, TIME, SLICE)
    others = [f"{DIMENSIONS[i]} ({i}) = {n}" for i, n in enumerate(dims) if n > 1 and i not in known]
    if others:
        raise UnsupportedError(
            f"{header} has {', '.join(others)}. knerve reads BART k-space with readout, phase encodes, coil, time and "
            "slice; cut out one entry with `bart slice`, or average."
        )
    return dims


def _read_samples(path: Path, dims: tuple[int, ...]) -> Tensor:
    """k-space (slice, coil, [kz,] ky, kx); time is the slower part of the slice axis."""
    expected, found = math.prod(dims) * BYTES_PER_SAMPLE, path.stat().st_size
    if found != expected:
        what = "is truncated" if found < expected else "does not match its header"
        raise RawDataError(
            f"{path} {what}: the header's {' x '.join(str(n) for n in dims if n > 1)} complex samples need {expected} bytes, "
            f"the file has {found}. Copy both files of the pair again."
        )
    stored = torch.from_numpy(np.fromfile(path, "<c8"))
    order = (dims[SLICE], dims[TIME], dims[COIL], dims[PHASE_2], dims[PHASE_1], dims[READ])
    by_frame = stored.reshape(order).transpose(0, 1).flatten(0, 1)
    return by_frame.contiguous() if dims[PHASE_2] > 1 else by_frame.squeeze(2).contiguous()
