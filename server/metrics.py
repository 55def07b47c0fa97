"""Numbers for Prometheus: counters, gauges and histograms, and their text exposition (format 0.0.4)."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from threading import Lock
from typing import Protocol

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(Protocol):
    """Something that is exposed under a name of its own."""

    def lines(self) -> Iterator[str]:
        """Its part of the exposition."""


class Counter:
    """What only grows, of one kind or of several."""

    def __init__(self, name: str, meaning: str, label: str = "", kinds: Sequence[str] = ("",)) -> None:
        """Begin at zero; every kind that may occur is named here, so that a rate over it has a beginning."""
        self._name, self._meaning, self._label = name, meaning, label
        self._lock = Lock()
        self._values = dict.fromkeys(kinds, 0)

    def add(self, amount: int = 1, kind: str = "") -> None:
        """Count further."""
        with self._lock:
            self._values[kind] += amount

    def value(self, kind: str = "") -> int:
        """How many there were."""
        return self._values[kind]

    def lines(self) -> Iterator[str]:
        """One line a kind."""
        yield from _head(self._name, self._meaning, "counter")
        for kind, value in self._values.items():
            yield f"{_labelled(self._name, self._label, kind)} {value}"


class Gauge:
    """What is read when it is asked for."""

    def __init__(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        self._name, self._meaning, self._read = name, meaning, read

    def lines(self) -> Iterator[str]:
        """One line."""
        yield from _head(self._name, self._meaning, "gauge")
        yield f"{self._name} {_number(self._read())}"


class Gauges:
    """What is read when it is asked for, of several kinds."""

    def __init__(self, name: str, meaning: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._meaning, self._label, self._read = name, meaning, label, read

    def lines(self) -> Iterator[str]:
        """One line a kind."""
        yield from _head(self._name, self._meaning, "gauge")
        for kind, value in self._read().items():
            yield f"{_labelled(self._name, self._label, kind)} {_number(value)}"


class Histogram:
    """How often values lie below bounds."""

    def __init__(self, name: str, meaning: str, bounds: Sequence[float]) -> None:
        """Bounds ascend; what lies above the last is counted too."""
        self._name, self._meaning, self._bounds = name, meaning, (*bounds, math.inf)
        self._lock = Lock()
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def lines(self) -> Iterator[str]:
        """One line a bound, the sum, the count."""
        with self._lock:
            counts, total = list(accumulate(self._counts)), self._sum
        yield from _head(self._name, self._meaning, "histogram")
        for bound, count in zip(self._bounds, counts, strict=True):
            yield f"{_labelled(f'{self._name}_bucket', 'le', _number(bound))} {count}"
        yield f"{self._name}_sum {_number(total)}"
        yield f"{self._name}_count {counts[-1]}"


def exposition(metrics: Iterable[Metric]) -> str:
    """All metrics, as Prometheus reads them."""
    return "".join(f"{line}\n" for metric in metrics for line in metric.lines())


def _head(name: str, meaning: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _labelled(name: str, label: str, value: str) -> str:
    if not label:
        return name
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}{{{label}="{escaped}"}}'


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:.15g}" if math.isfinite(value) else "NaN"
