"""Where the time goes: wall-clock seconds of each named stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Adds up the seconds spent in each stage, in the order in which the stages first ran.

    Attributes:
        seconds: of each stage.
        n_workers: that run stages at the same time; each counts for its share, so that the sum stays that of the clock.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.n_workers = 1
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block; on a GPU wait until its work is done."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                torch.cuda.synchronize()
            spent = (time.perf_counter() - start) / self.n_workers
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + spent
