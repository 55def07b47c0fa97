"""Tasks of a stream: what is urgent first."""

from contextlib import suppress
from functools import partial
from queue import Queue
from threading import Event

import torch

from knerve.recon.stream_pool import TaskPool


def test_a_pool_tells_failures_and_gives_torch_its_threads_back() -> None:
    before = torch.get_num_threads()
    done: list[int] = []
    pool = TaskPool(2)
    assert torch.get_num_threads() == 1
    for number in range(4):
        pool.submit(partial(done.append, number))
    pool.wait()
    pool.submit(lambda: [][0])
    with suppress(IndexError):
        pool.wait()
    assert pool.has_failed()
    pool.close()
    assert sorted(done) == [0, 1, 2, 3]
    assert torch.get_num_threads() == before


def test_patient_tasks_come_when_nothing_else_is_waited_for() -> None:
    done: list[str] = []
    pool = TaskPool(2)
    is_open = Event()

    def urgent(number: int) -> None:
        is_open.wait(10)
        done.append("urgent")
        pool.submit_patient(partial(done.append, f"patient {number}"))

    for number in range(5):
        pool.submit(partial(urgent, number))
    is_open.set()
    pool.wait()
    pool.close()
    assert done[:5] == ["urgent"] * 5
    assert sorted(done[5:]) == [f"patient {number}" for number in range(5)]


def test_one_thread_stays_free_for_what_comes() -> None:
    pool = TaskPool(2)
    begun: Queue[str] = Queue()
    is_open = Event()

    def slow() -> None:
        begun.put("slow")
        is_open.wait(10)

    pool.submit(lambda: [pool.submit_patient(slow) for _ in range(2)])
    assert begun.get(timeout=10) == "slow"
    pool.submit(lambda: begun.put("urgent"))
    assert begun.get(timeout=10) == "urgent"
    is_open.set()
    pool.wait()
    pool.close()
    assert begun.get(timeout=10) == "slow"
