"""BART's command line as a peer: arrays in, arrays out.

Install it from Debian (`apt-get install bart`); benchmarks that need it say so when it is absent.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.complex64]


def bart_path() -> str | None:
    """Where the program is, or None."""
    return shutil.which("bart")


def bart(command: Sequence[str], *arrays: Array) -> Array:
    """Run one BART command on arrays in BART's own dimensions (read, phase 1, phase 2, coil, ...); return its one output."""
    program = bart_path()
    if program is None:
        raise FileNotFoundError("bart is not installed; on Debian: apt-get install bart")
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder, f"in{i}")) for i in range(len(arrays))]
        for name, array in zip(names, arrays, strict=True):
            write_cfl(Path(name), array)
        output = Path(folder, "out")
        subprocess.run([program, *command, *names, str(output)], check=True, capture_output=True)
        return read_cfl(output)


def write_cfl(stem: Path, array: Array) -> None:
    """Write `stem`.hdr and `stem`.cfl, first axis fastest."""
    stem.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, array.shape)) + "\n")
    array.astype(np.complex64).ravel(order="F").tofile(stem.with_suffix(".cfl"))


def read_cfl(stem: Path) -> Array:
    """Read `stem`.hdr and `stem`.cfl."""
    shape = [int(n) for n in stem.with_suffix(".hdr").read_text().splitlines()[1].split()]
    return np.fromfile(stem.with_suffix(".cfl"), np.complex64).reshape(shape, order="F")
