"""One job spread over the CPU's cores by plain threads, for kernels that give up Python's lock while they compute.

They are as many as torch's own threads, and they sleep while torch works, so the two never compete for a core.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

FEWEST_ROWS = 200  # of an image that are worth waking a thread for

_here = threading.local()  # marks the threads that already are workers


def spread(task: Callable[[int, int], None], n: int, at_least: int = 1) -> None:
    """Call `task(start, stop)` for ranges that together cover range(n), at the same time; returns when all are done.

    A worker that spreads again does all of it by itself.

    Args:
        task: must not depend on how the range is cut.
        n: pieces of work.
        at_least: pieces that are worth a thread.
    """
    n_threads = 1 if getattr(_here, "is_worker", False) else min(torch.get_num_threads(), n // max(at_least, 1))
    if n_threads <= 1:
        task(0, n)
        return
    edges = [n * i // n_threads for i in range(n_threads + 1)]
    others = [_pool(n_threads - 1).submit(task, a, b) for a, b in pairwise(edges[1:])]
    try:
        task(edges[0], edges[1])
    finally:
        for other in others:
            other.result()


def side_by_side(task: Callable[[Item], Result], items: Iterable[Item], n_workers: int) -> Iterator[Result]:
    """Results of `task` in the order of the items, `n_workers` of them at a time, each on one core.

    Items are taken only when their turn comes, so that no more of them are in memory than are being worked on.
    """
    if n_workers <= 1:
        yield from map(task, items)
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="knerve-slice", initializer=_become_worker)
    try:
        running: deque[Future[Result]] = deque()
        for item in items:
            running.append(pool.submit(task, item))
            if len(running) == n_workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _become_worker() -> None:
    _here.is_worker = True


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="knerve", initializer=_become_worker)
