"""Threads that take one task after the other, each on one core, while the caller goes on."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import torch

Task = Callable[[], None]


class TaskPool:
    """`n_workers` threads; until `close`, torch computes on one core a thread."""

    def __init__(self, n_workers: int) -> None:
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._executor = ThreadPoolExecutor(n_workers, "knerve-stream", initializer=lambda: torch.set_num_threads(1))
        self._lock = Lock()
        self._begun: deque[Future[None]] = deque()
        self._patient: deque[Task] = deque()
        self._n_workers, self._n_waited_for, self._n_patient = n_workers, 0, 0
        self._most_patient = max(1, n_workers - 1)  # a thread stays free for what comes

    def submit(self, task: Task) -> None:
        """Do a task when a thread is free, first come, first served."""
        with self._lock:
            self._n_waited_for += 1
            self._begun.append(self._executor.submit(self._do, task))

    def submit_patient(self, task: Task) -> None:
        """Do a task when no other is waited for; only tasks may say this."""
        with self._lock:
            self._patient.append(task)

    def wait(self) -> None:
        """Wait until all is done, as no more is to come but what tasks submit; what a task raised is raised here."""
        with self._lock:
            self._most_patient = self._n_workers
            self._begin_patient()
        while self._begun:
            self._begun[0].result()
            self._begun.popleft()

    def has_failed(self) -> bool:
        """Whether a task raised something, which `wait` will raise."""
        with self._lock:
            begun = tuple(self._begun)
        return any(task.done() and not task.cancelled() and task.exception() is not None for task in begun)

    def close(self) -> None:
        """Forget what has not begun, and end the threads."""
        with self._lock:
            self._patient.clear()
        self._executor.shutdown(cancel_futures=True)
        with contextlib.suppress(RuntimeError):  # torch refuses in a process that is ending
            torch.set_num_threads(self._threads_before)

    def _do(self, task: Task) -> None:
        try:
            task()
        finally:
            with self._lock:
                self._n_waited_for -= 1
                self._begin_patient()

    def _do_patient(self, task: Task) -> None:
        try:
            task()
        finally:
            with self._lock:
                self._n_patient -= 1
                self._begin_patient()

    def _begin_patient(self) -> None:
        while self._patient and not self._n_waited_for and self._n_patient < self._most_patient:
            self._n_patient += 1
            self._begun.append(self._executor.submit(self._do_patient, self._patient.popleft()))
