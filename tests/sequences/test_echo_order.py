"""Every line is read, by an echo that follows its order and a shot that is like all others; TE falls on ky = 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from knerve.sequences.echo_order import NOT_READ, order_lines, plan_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.pattern_quality import pattern_quality
from knerve.sequences.protocol import Protocol, preset_names
from knerve.sequences.timing import scan_time


def changed(name: str, **sections: dict[str, Any]) -> Protocol:
    protocol = Protocol.load(name)
    return replace(
        protocol, **{title: replace(getattr(protocol, title), **values) for title, values in sections.items()}
    )


def segment_means(table: np.ndarray, centre_line: int) -> list[float]:
    """Mean |ky| of the lines of each echo."""
    return [float(np.abs(echo[echo != NOT_READ] - centre_line).mean()) for echo in table.T]


@pytest.mark.parametrize("name", preset_names())
def test_each_line_of_a_preset_is_read_once_per_average_and_te_reads_the_centre(name):
    protocol = Protocol.load(name)
    plan, time = plan_echoes(protocol), scan_time(protocol)
    assert plan.lines.shape == (protocol.schedule.averages, time.n_shots, protocol.echo_train.echo_train_length)
    assert np.array_equal(plan.counts, plan.pattern.sampled * protocol.schedule.averages)
    assert plan.centre_echo == protocol.echo_train.centre_echo
    assert plan.effective_echo_time_s == pytest.approx(protocol.echo_train.echo_time_s)
    for average in plan.lines:
        assert plan.n_full // 2 in average[:, plan.centre_echo]


@pytest.mark.parametrize("n_lines", [165, 162, 151, 97])
@pytest.mark.parametrize(
    ("order", "centre_echo"), [("linear", 7), ("linear", 3), ("low-high", 0), ("asymmetric", 7), ("asymmetric", 14)]
)
def test_echoes_and_shots_are_balanced_to_one_line(n_lines, order, centre_echo):
    lines = np.sort(np.random.default_rng(n_lines).choice(485, n_lines, replace=False))
    lines[np.argmin(np.abs(lines - 242))] = 242
    table = order_lines(lines, centre_line=242, n_echoes=15, n_shots=11, centre_echo=centre_echo, order=order)
    read = table != NOT_READ
    assert np.array_equal(np.sort(table[read]), lines)
    assert np.ptp(read.sum(axis=0)) <= 1
    assert np.ptp(read.sum(axis=1)) <= 1
    assert 242 in table[:, centre_echo]


def test_linear_order_sweeps_ky_and_wraps_around_the_train():
    lines = np.arange(60)
    table = order_lines(lines, centre_line=30, n_echoes=6, n_shots=10, centre_echo=3)
    assert np.array_equal(table.T.ravel(), lines)  # echo e reads the e-th segment
    wrapped = order_lines(lines, centre_line=30, n_echoes=6, n_shots=10, centre_echo=1)
    assert wrapped[0].tolist() == [20, 30, 40, 50, 0, 10]


def test_low_high_order_reads_outwards():
    table = order_lines(np.arange(60), centre_line=30, n_echoes=6, n_shots=10, centre_echo=0, order="low-high")
    means = segment_means(table, 30)
    assert means == sorted(means)
    assert sorted(table[:, 0].tolist()) == list(range(25, 35))


def test_asymmetric_order_reads_outwards_from_its_echo():
    table = order_lines(np.arange(60), centre_line=30, n_echoes=6, n_shots=10, centre_echo=2, order="asymmetric")
    means = segment_means(table, 30)
    assert np.argsort(means).tolist() == [2, 3, 1, 4, 0, 5]
    late = order_lines(np.arange(60), centre_line=30, n_echoes=6, n_shots=10, centre_echo=5, order="asymmetric")
    assert np.argsort(segment_means(late, 30)).tolist() == [5, 4, 3, 2, 1, 0]


def test_every_shot_is_a_comb_through_all_of_k_space():
    plan = plan_echoes(Protocol.load("navigate"))
    ranks = np.searchsorted(plan.pattern.lines, np.sort(plan.lines[0], axis=1))
    assert (np.diff(ranks, axis=1) == 11).all()


def test_dealing_sets_the_order_of_the_combs_in_time():
    monotone = plan_echoes(changed("navigate", echo_train={"dealing": "monotone"})).lines[0]
    interleaved = plan_echoes(changed("navigate", echo_train={"dealing": "interleaved"})).lines[0]
    assert (np.diff(monotone, axis=0) > 0).all()
    assert sorted(map(tuple, interleaved)) == sorted(map(tuple, monotone))
    combs = [monotone.tolist().index(shot) for shot in interleaved.tolist()]
    apart = np.abs(np.diff(combs))
    assert np.minimum(apart, 11 - apart).min() >= 3


def test_repeated_averages_read_the_same_lines_and_distinct_ones_others():
    repeated = plan_echoes(Protocol.load("planning-axial"))
    assert (repeated.lines == repeated.lines[0]).all()
    distinct = plan_echoes(changed("planning-axial", undersampling={"averages_as": "distinct lines"}))
    assert distinct.lines.shape == (3, 11, 15)
    assert distinct.counts.max() == 1
    assert distinct.counts.sum() == 495
    for average in distinct.lines:  # each alone covers k-space as evenly as the others
        places = np.sort(average.ravel())
        assert np.diff(places).max() <= 3 * 12
        assert ((places > 469) & (places < 501)).sum() in (10, 11)
    net = pattern_quality(distinct).acceleration_net
    assert net == pytest.approx(970 / 495)


def test_spare_echoes_read_more_lines_or_nothing():
    filled = pattern_quality(plan_echoes(Protocol.load("navigate")))
    skipped = pattern_quality(plan_echoes(changed("navigate", undersampling={"spare_echoes": "skip"})))
    assert (filled.n_lines, skipped.n_lines) == (165, 162)
    assert set(filled.lines_per_echo) == {11}
    assert sorted(skipped.lines_per_echo) == [10] * 3 + [11] * 12
    assert skipped.lines_per_shot == (14, 15)


def test_half_scan_leaves_out_the_first_lines_and_keeps_the_echo_time():
    plan = plan_echoes(changed("navigate", undersampling={"half_scan": 0.6}))
    assert plan.pattern.lines[0] == 485 - 291
    assert plan.pattern.lines[-1] == 484
    assert plan.centre_echo == 7
    quality = pattern_quality(plan)
    assert quality.acceleration_net == pytest.approx(485 * 0.6 / 105)
    assert quality.echo_time_error_s == pytest.approx(0.0)


@pytest.mark.parametrize("name", preset_names())
def test_quality_of_the_presets(name):
    protocol = Protocol.load(name)
    quality = pattern_quality(plan_echoes(protocol))
    time = scan_time(protocol)
    assert quality.acceleration_net == pytest.approx(time.acceleration_net)
    assert quality.largest_gap <= 4 * protocol.undersampling.acceleration
    assert quality.largest_gap_without_a_shot >= quality.largest_gap
    assert quality.peak_interference < 0.2
    assert quality.echo_time_error_s == pytest.approx(0.0)
    assert (
        quality.lines_per_echo == (time.n_shots * protocol.schedule.averages,) * protocol.echo_train.echo_train_length
    )


def test_a_console_echo_time_that_is_rounded_shows_its_error():
    quality = pattern_quality(plan_echoes(changed("navigate", echo_train={"echo_time_s": 0.0751})))
    assert quality.echo_time_error_s == pytest.approx(0.00002)


def test_a_repeated_average_makes_up_for_a_lost_shot():
    quality = pattern_quality(plan_echoes(Protocol.load("planning-axial")))
    assert quality.largest_gap_without_a_shot == quality.largest_gap
    single = pattern_quality(plan_echoes(Protocol.load("navigate")))
    assert single.largest_gap_without_a_shot > single.largest_gap


def test_the_seed_decides_the_pattern():
    first, again = (plan_echoes(Protocol.load("navigate")).lines for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, plan_echoes(changed("navigate", undersampling={"seed": 1})).lines)
    assert not np.array_equal(first, plan_echoes(Protocol.load("navigate"), stream=1).lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_shots": 9}, r"60 lines do not fit into 9 shots of 6 echoes. Nearest valid number of shots: 10\."),
        ({"centre_line": 60}, "Line 60, ky = 0, is not among the lines"),
        ({"centre_echo": 6}, r"Echo 6 is to read ky = 0; the linear order of 6 echoes allows 0 to 5. Nearest valid value: 5\."),
        ({"centre_echo": 2, "order": "low-high"}, r"the low-high order of 6 echoes allows 0 to 0. Nearest valid value: 0\."),
    ],
)  # fmt: skip
def test_impossible_orders(arguments, message):
    with pytest.raises(ProtocolError, match=message):
        order_lines(np.arange(60), **{"centre_line": 30, "n_echoes": 6, "n_shots": 10, "centre_echo": 3, **arguments})
