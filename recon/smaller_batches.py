"""Batches that turn out too large for a GPU's memory are done again in halves."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")
FEWER = "the GPU's memory ran out with {many} slices at once; they were reconstructed {few} at a time."


def in_halves(work: Callable[[range], Result], slices: range) -> list[Result]:
    """The results of slices that follow each other, as few of them together as the memory asks for.

    Args:
        work: for a range of slices; may run out of memory.
        slices: all of them.

    Raises:
        torch.OutOfMemoryError: one slice alone is too large.
    """
    found = _if_it_fits(work, slices)
    if found is not None:
        return found
    _release()  # not while the error is handled, which holds everything that did not fit
    half = slices.start + (len(slices) + 1) // 2
    return in_halves(work, range(slices.start, half)) + in_halves(work, range(half, slices.stop))


def _if_it_fits(work: Callable[[range], Result], slices: range) -> list[Result] | None:
    try:
        return [work(slices)]
    except torch.OutOfMemoryError:
        if len(slices) < 2:
            raise
        return None


def _release() -> None:
    """Give back what is kept for later problems."""
    from knerve.recon.cuda_iterates import release_memory

    release_memory()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
