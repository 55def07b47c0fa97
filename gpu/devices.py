"""Where tensors live: the choice of device, its memory and the number of CPU threads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
MEMINFO = Path("/proc/meminfo")


def free_memory_bytes(device: torch.device) -> int:
    """Memory that can be taken now on this device, in bytes; on a CPU with what the system keeps of files and can give back."""
    if device.type == "cuda":
        # what torch holds and will use again
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", MEMINFO.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return int(found[1]) * 1024 if found else ASSUMED_FREE_BYTES


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
