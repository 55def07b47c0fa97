"""The exposition is what Prometheus reads: cumulative buckets, escaped labels, a head for each name."""

from __future__ import annotations

import math

from knerve.server.metrics import Counter, Gauge, Gauges, Histogram, exposition


def test_counters_begin_at_zero_for_every_kind() -> None:
    counter = Counter("knerve_things_total", "Things.", "state", ("done", "failed"))
    counter.add(kind="done")
    counter.add(2, "done")
    assert counter.value("done") == 3
    assert exposition([counter]).splitlines() == [
        "# HELP knerve_things_total Things.",
        "# TYPE knerve_things_total counter",
        'knerve_things_total{state="done"} 3',
        'knerve_things_total{state="failed"} 0',
    ]


def test_gauges_are_read_when_asked_for() -> None:
    values = [1.5]
    gauge = Gauge("knerve_level", "A level.", lambda: values[-1])
    assert list(gauge.lines())[-1] == "knerve_level 1.5"
    values.append(math.inf)
    assert list(gauge.lines())[-1] == "knerve_level +Inf"
    values.append(math.nan)
    assert list(gauge.lines())[-1] == "knerve_level NaN"
    kinds = Gauges("knerve_levels", "Levels.", "who", lambda: {'a"\\\n': 2.0})
    assert list(kinds.lines())[-1] == 'knerve_levels{who="a\\"\\\\\\n"} 2'


def test_histograms_are_cumulative_and_bounds_belong_to_their_bucket() -> None:
    histogram = Histogram("knerve_wait_seconds", "Waiting.", (0.5, 1.0))
    for value in (0.5, 0.6, 7.0):
        histogram.observe(value)
    assert list(histogram.lines())[2:] == [
        'knerve_wait_seconds_bucket{le="0.5"} 1',
        'knerve_wait_seconds_bucket{le="1"} 2',
        'knerve_wait_seconds_bucket{le="+Inf"} 3',
        "knerve_wait_seconds_sum 8.1",
        "knerve_wait_seconds_count 3",
    ]
