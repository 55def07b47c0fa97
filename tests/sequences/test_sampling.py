"""Patterns hold exactly the lines asked for, keep their gaps and their centre, and interfere less than chance."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.poisson_disc import poisson_disc
from knerve.sequences.sampling import interference, largest_calibration, smallest_possible_gap, variable_density


@pytest.mark.parametrize(
    ("n_full", "n_lines", "n_covered", "n_calibration", "gap"),
    [
        (485, 162, 485, 32, 6),
        (485, 165, 485, 24, None),
        (970, 486, 970, 32, 12),
        (970, 162, 970, 1, 13),
        (485, 129, 340, 32, 6),
        (484, 120, 267, 48, 5),
        (64, 34, 64, 32, 32),
        (485, 485, 485, 32, 1),
        (485, 484, 485, 32, 2),
        (9, 3, 9, 1, 4),
    ],
)
def test_exact_count_full_centre_both_edges_and_no_larger_gap(n_full, n_lines, n_covered, n_calibration, gap):
    for seed in range(5):
        pattern = variable_density(
            n_full,
            n_lines,
            n_calibration=n_calibration,
            largest_gap=gap,
            n_covered=n_covered,
            seed=seed,
            n_candidates=2,
        )
        lines = pattern.lines
        assert len(lines) == n_lines == pattern.sampled.sum()
        assert (lines[0], lines[-1]) == (n_full - n_covered, n_full - 1)
        low, high = pattern.calibration
        assert high - low == n_calibration
        assert low <= n_full // 2 < high
        assert pattern.sampled[low:high].all()
        if gap is not None:
            assert np.diff(lines).max() <= gap


@pytest.mark.parametrize(
    ("n_full", "n_covered", "n_lines", "n_calibration"), [(485, 485, 165, 32), (485, 300, 90, 20), (97, 97, 20, 5)]
)
def test_the_smallest_possible_gap_is_possible_and_smaller_is_not(n_full, n_covered, n_lines, n_calibration):
    gap = smallest_possible_gap(n_full, n_covered, n_lines, n_calibration)
    pattern = variable_density(n_full, n_lines, n_calibration=n_calibration, n_covered=n_covered, largest_gap=gap)
    assert np.diff(pattern.lines).max() == gap
    with pytest.raises(ProtocolError, match=rf"cannot be closer than {gap}. Nearest valid value: {gap}\."):
        variable_density(n_full, n_lines, n_calibration=n_calibration, n_covered=n_covered, largest_gap=gap - 1)


def test_the_same_seed_gives_the_same_pattern_and_another_another():
    first, again = (variable_density(485, 162, largest_gap=6, seed=4) for _ in range(2))
    assert np.array_equal(first.sampled, again.sampled)
    assert not np.array_equal(first.sampled, variable_density(485, 162, largest_gap=6, seed=5).sampled)
    assert not np.array_equal(first.sampled, variable_density(485, 162, largest_gap=6, seed=4, stream=1).sampled)


@pytest.mark.parametrize("acceleration", [2, 3, 6])
def test_lines_follow_the_density_that_is_stated_everywhere(acceleration):
    """Up to any line as many are read as the density says, but for one or two: chance leaves no holes and no heaps."""
    for seed in range(20):
        pattern = variable_density(400, 400 // acceleration, n_calibration=24, seed=seed)
        assert pattern.density.sum() == pytest.approx(400 // acceleration, abs=0.01)
        assert np.abs(np.cumsum(pattern.sampled - pattern.density)).max() < 1.6
    assert pattern.density[215:290].mean() > 1.3 * pattern.density[310:395].mean()


def test_lines_differ_from_draw_to_draw_at_every_place():
    draws = [variable_density(400, 100, n_calibration=24, n_candidates=1, seed=seed).sampled for seed in range(300)]
    read = np.mean(draws, axis=0)
    assert np.flatnonzero(read == 1).tolist() == [0, *range(188, 212), 399]
    assert (read == 0).sum() <= 4
    assert read[215:290].mean() > read[310:395].mean()


def test_uniform_density():
    pattern = variable_density(300, 100, n_calibration=10, density_power=0.0, seed=1)
    outside = np.r_[pattern.density[1:145], pattern.density[155:299]]
    assert np.ptp(outside) < 1e-9
    assert outside[0] == pytest.approx(88 / 288)  # the block and both edges are not drawn


def test_random_gaps_are_not_closed_by_a_regular_comb():
    pattern = variable_density(970, 165, largest_gap=12, seed=0)
    outer = np.diff(pattern.lines[pattern.lines > 600])
    assert len(set(outer.tolist())) >= 5


@pytest.mark.parametrize(("n_full", "n_lines", "gap"), [(485, 162, 6), (970, 162, 12), (970, 486, 12)])
def test_interference_is_below_the_median_of_uniform_random_patterns(n_full, n_lines, gap):
    random = np.random.default_rng(0)
    uniform = np.zeros((201, n_full), dtype=bool)
    for mask in uniform:
        mask[random.choice(n_full, n_lines, replace=False)] = True
    median = np.median(interference(uniform, np.full(n_full, n_lines / n_full)))
    for seed in range(5):
        pattern = variable_density(n_full, n_lines, largest_gap=gap, seed=seed)
        assert interference(pattern.sampled, pattern.density) < median


def test_the_best_of_many_candidates_interferes_least():
    few, many = (variable_density(485, 162, seed=2, n_candidates=n) for n in (1, 32))
    assert interference(many.sampled, many.density) < interference(few.sampled, few.density)


def test_interference_of_a_comb_is_a_full_copy():
    comb = np.arange(120) % 4 == 0
    assert interference(comb, np.full(120, 0.25)) == pytest.approx(1.0)
    assert interference(comb, comb.astype(float)) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"n_lines": 500},
            r"500 lines are to be read of 485 covered ones on a grid of 485. Nearest valid value: 485\.",
        ),
        ({"n_lines": 0}, r"0 lines are .* Nearest valid value: 1\."),
        (
            {"n_lines": 30},
            r"calibration block has 32 lines; 30 lines leave room for 1 to 28. Nearest valid value: 28\.",
        ),
        ({"n_lines": 162, "n_calibration": 0}, r"calibration block has 0 lines; .* Nearest valid value: 1\."),
        ({"n_lines": 150, "n_covered": 250}, r"calibration block has 32 lines; 150 lines leave room for 1 to 15"),
    ],
)
def test_impossible_counts(arguments, message):
    with pytest.raises(ProtocolError, match=message):
        variable_density(485, **arguments)


def test_the_widest_calibration_is_possible():
    for n_full, n_covered, n_lines in ((485, 250, 150), (484, 484, 484), (64, 50, 50), (64, 40, 20)):
        widest = largest_calibration(n_full, n_covered, n_lines)
        variable_density(n_full, n_lines, n_covered=n_covered, n_calibration=widest)
        with pytest.raises(ProtocolError, match="calibration block"):
            variable_density(n_full, n_lines, n_covered=n_covered, n_calibration=widest + 1)


def test_poisson_disc_of_sigpy():
    pytest.importorskip("sigpy", reason="SigPy draws the Poisson disc")
    mask = poisson_disc((48, 64), 4.0, n_calibration=12, seed=3)
    assert mask.shape == (48, 64)
    assert mask.size / mask.sum() == pytest.approx(4.0, rel=0.02)
    assert mask[24 - 6 : 24 + 6, 32 - 6 : 32 + 6].all()
    assert not mask[0, 0]
    assert mask[16:32, 20:44].mean() > 1.5 * mask.mean()
    outer = mask[4:10, 16:48]
    touching = (outer[:, 1:] & outer[:, :-1]).mean()
    assert touching < 0.5 * outer.mean() ** 2  # neighbours are rarer than chance
    assert np.array_equal(mask, poisson_disc((48, 64), 4.0, n_calibration=12, seed=3))
    with pytest.raises(ProtocolError, match=r"within 2 % of acceleration 40\. Try a smaller centre"):
        poisson_disc((48, 64), 40.0, n_calibration=12)


def test_a_poisson_disc_needs_undersampling():
    with pytest.raises(ProtocolError, match=r"acceleration is 1.0; a Poisson disc needs more than 1"):
        poisson_disc((48, 64), 1.0)


def test_without_sigpy_the_message_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name == "sigpy" or name.startswith("sigpy.")]:
        monkeypatch.delitem(sys.modules, name)
    original = builtins.__import__

    def without_sigpy(name, *arguments):
        if name.startswith("sigpy"):
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_sigpy)
    with pytest.raises(ProtocolError, match="pip install sigpy"):
        poisson_disc((48, 64), 4.0)
