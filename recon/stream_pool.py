"""Threads that take one task after the other, each on one core, while the caller goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch


class TaskPool:
    """`n_workers` threads; until `close`, torch computes on one core a thread."""

    def __init__(self, n_workers: int) -> None:
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._executor = ThreadPoolExecutor(n_workers, "knerve-stream", initializer=lambda: torch.set_num_threads(1))
        self._tasks: list[Future[None]] = []

    def submit(self, task: Callable[[int], None], argument: int) -> None:
        """Do `task(argument)` when a thread is free, first come, first served."""
        self._tasks.append(self._executor.submit(task, argument))

    def wait(self) -> None:
        """Wait until all is done; what a task raised is raised here."""
        for task in self._tasks:
            task.result()
        self._tasks.clear()

    def has_failed(self) -> bool:
        """Whether a task raised something, which `wait` will raise."""
        return any(task.done() and not task.cancelled() and task.exception() is not None for task in self._tasks)

    def close(self) -> None:
        """Forget what has not begun, and end the threads."""
        self._executor.shutdown(cancel_futures=True)
        with contextlib.suppress(RuntimeError):  # torch refuses in a process that is ending
            torch.set_num_threads(self._threads_before)
