"""What a benchmark is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from knerve.bench.cases import Case
from knerve.bench.methods import Method


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Attributes:
        cases: in this order.
        own: knerve's own methods; the first is the reference of all ratios.
        peers: beside them.
        n_runs: timed runs of each method.
        n_threads: of each method.
        cap_s: seconds of one method's timed runs after which it gets no more.
        quick: search coarsely.
        search_again: forget earlier searches.
    """

    cases: tuple[Case, ...]
    own: tuple[Method, ...]
    peers: tuple[Method, ...]
    n_runs: int = 5
    n_threads: int = 2
    cap_s: float = 120.0
    quick: bool = False
    search_again: bool = False
