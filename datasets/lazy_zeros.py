"""Zeros that take memory only where they are written: most lines of an accelerated scan never are."""

from __future__ import annotations

import errno
import math
import mmap
import sys

import numpy as np
from numpy.typing import NDArray


def lazy_zeros(shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """An array of complex zeros; a page of it (4 KiB) is taken when something is written there.

    `np.zeros` asks Linux for huge pages of 2 MiB, which one written line after the other takes as a whole.

    Raises:
        MemoryError: not even the addresses are to be had.
    """
    if sys.platform == "win32" or math.prod(shape) == 0:
        return np.zeros(shape, np.complex64)
    n_bytes = math.prod(shape) * np.dtype(np.complex64).itemsize
    try:
        pages = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"{n_bytes / 2**30:.1f} GiB") from error
    return np.frombuffer(pages, np.complex64).reshape(shape)
