"""What a command does first, so that a user waits as little as possible: libraries and memory."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Thread

ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD = -8, -3, -1  # of <malloc.h>


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in this block without garbage collection, now and later.

    What is imported stays until the process ends; looking through torch for garbage again and again costs a tenth of its
    import, and once more at the end of the process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def import_in_background(module: str) -> None:
    """Import a module that is needed later, while the processor's other work does not hold Python's lock."""
    Thread(target=import_module, args=(module,)).start()


def reuse_freed_memory() -> None:
    """Let the C library of Linux (glibc) keep large blocks that were freed for the next ones.

    It would return them to the system, which clears every page anew: a seventh of a reconstruction. For a command that ends
    soon; not for a library, since the process never becomes smaller. Elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    options = getattr(ctypes.CDLL(None), "mallopt", None)
    if options is None:  # another C library
        return
    for option, value in ((ARENA_MAX, 1), (MMAP_THRESHOLD, 1 << 30), (TRIM_THRESHOLD, (1 << 31) - 1)):
        options(option, value)
