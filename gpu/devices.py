"""Where tensors live: the choice of device, its memory and the number of CPU threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def choose_device(name: str) -> torch.device:
    """The torch device for "auto", "cpu" or "cuda"; "auto" takes the GPU where there is one.

    Raises:
        ValueError: the name is none of the three, or "cuda" was asked for and no CUDA device answers.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name != "cuda":
        raise ValueError(f'device is "{name}"; choose "auto", "cpu" or "cuda".')
    if not torch.cuda.is_available():
        raise ValueError('device "cuda" was asked for, but torch finds no CUDA GPU here; use "cpu" or "auto".')
    return torch.device("cuda")


ASSUMED_FREE_BYTES = 2 << 30  # where the operating system does not say


def free_memory_bytes(device: torch.device) -> int:
    """Memory that can be taken now on this device, in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not Linux
        return ASSUMED_FREE_BYTES


@contextmanager
def cpu_threads(n_threads: int | None) -> Iterator[None]:
    """Run torch on this many CPU threads, and put the old number back afterwards; None changes nothing."""
    before = torch.get_num_threads()
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
