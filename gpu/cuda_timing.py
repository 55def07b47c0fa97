"""Seconds that work takes on its device."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def gpu_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call: between two events on the GPU's stream, or by the clock on a CPU."""
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.current_stream(device).synchronize()
    before.record()
    work()
    after.record()
    after.synchronize()
    return before.elapsed_time(after) / 1e3
