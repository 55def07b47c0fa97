"""Batches that turn out too large for the memory are done again in halves."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")
FEWER = "memory ran out with {many} slices at once; they were reconstructed {few} at a time."
ITS_WORDS = ("alloc", "out of memory")  # torch has one error of its own, for some of its GPU memory


def in_halves(work: Callable[[range], Result], slices: range) -> list[Result]:
    """The results of slices that follow each other, as few of them together as the memory asks for.

    Args:
        work: for a range of slices; may run out of memory.
        slices: all of them.

    Raises:
        MemoryError, RuntimeError: one slice alone is too large, or what else the work raises.
    """
    found = _if_it_fits(work, slices)
    if found is not None:
        return found
    _release()  # not while the error is handled, which holds everything that did not fit
    if len(slices) < 2:
        return [work(slices)]
    found = _if_it_fits(work, slices)  # what was kept for other problems may have been in the way
    if found is not None:
        return found
    half = slices.start + (len(slices) + 1) // 2
    return in_halves(work, range(slices.start, half)) + in_halves(work, range(half, slices.stop))


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of a CPU or of a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in ITS_WORDS)


def _if_it_fits(work: Callable[[range], Result], slices: range) -> list[Result] | None:
    try:
        return [work(slices)]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def _release() -> None:
    """Give back what is kept for later problems."""
    from knerve.recon.cuda_iterates import release_memory

    gc.collect()  # what is garbage goes to what is kept
    release_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
