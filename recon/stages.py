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
    def stage(self, name: str, *, waits: bool = True) -> Iterator[None]:
        """Time the block; on a GPU wait until what this thread gave it is done.

        Only for that: a wait for the whole GPU would hold up a thread that sends data while another one solves, and break a graph
        that the other one is recording.

        Args:
            name: of the stage.
            waits: False where the block gives the GPU nothing whose end belongs to the stage.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            if waits and torch.cuda.is_available() and torch.cuda.is_initialized():
                torch.cuda.current_stream().synchronize()
            spent = (time.perf_counter() - start) / self.n_workers
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + spent
