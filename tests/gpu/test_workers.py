"""Work spread over cores."""

import threading
import time

import pytest
import torch

from knerve.gpu.workers import side_by_side, spread


@pytest.fixture
def _three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_three_threads")
@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 101])
def test_spread_covers_every_piece_once(n):
    done = []
    spread(lambda start, stop: done.extend(range(start, stop)), n)
    assert sorted(done) == list(range(n))


@pytest.mark.usefixtures("_three_threads")
def test_spread_uses_threads_and_a_worker_none_of_its_own():
    outer, inner = set(), []

    def task(_start, _stop):
        outer.add(threading.get_ident())
        if threading.current_thread() is not threading.main_thread():
            spread(lambda a, b: inner.append((threading.get_ident(), a, b)), 9)
        time.sleep(0.05)

    spread(task, 3)
    assert len(outer) == 3
    assert {(a, b) for _, a, b in inner} == {(0, 9)}
    assert {ident for ident, _, _ in inner} < outer


@pytest.mark.usefixtures("_three_threads")
def test_little_work_stays_here():
    ranges = []
    spread(lambda start, stop: ranges.append((start, stop)), 10, at_least=8)
    assert ranges == [(0, 10)]


@pytest.mark.usefixtures("_three_threads")
def test_an_error_in_any_thread_comes_out():
    def task(start, _stop):
        if start > 0:
            raise RuntimeError(f"piece {start}")

    with pytest.raises(RuntimeError, match="piece"):
        spread(task, 3)


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_side_by_side_keeps_the_order(n_workers):
    def task(item):
        time.sleep(0.01 * (item % 3))
        return item * item, torch.get_num_threads()

    before = torch.get_num_threads()
    results = list(side_by_side(task, range(7), n_workers))
    assert [square for square, _ in results] == [i * i for i in range(7)]
    assert n_workers == 1 or {threads for _, threads in results} == {1}
    assert torch.get_num_threads() == before


def test_side_by_side_takes_items_only_when_their_turn_comes():
    taken = []

    def items():
        for i in range(6):
            taken.append(i)
            yield i

    results = side_by_side(lambda item: item, items(), 2)
    assert next(results) == 0
    assert taken == [0, 1]
    results.close()


def test_side_by_side_passes_errors_on():
    def task(item):
        if item == 3:
            raise ValueError("third")
        return item

    with pytest.raises(ValueError, match="third"):
        list(side_by_side(task, range(10), 2))
