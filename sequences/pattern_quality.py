"""How good a sampling pattern is, in the numbers that no console prints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knerve.sequences.echo_order import NOT_READ, EchoPlan
from knerve.sequences.sampling import interference


@dataclass(frozen=True)
class PatternQuality:
    """Figures of one echo plan.

    Attributes:
        n_lines: different lines read.
        acceleration_net: lines that full sampling of the same extent would read over different lines read.
        peak_interference: highest false peak of a point relative to the point, see `sampling.interference`.
        largest_gap: lines from neighbour to neighbour at most.
        largest_gap_without_a_shot: the same after the worst single shot is lost.
        lines_per_echo: readouts of each echo, by all shots and averages.
        lines_per_shot: fewest and most readouts of a shot.
        echo_time_error_s: time of the echo that reads ky = 0, less the echo time asked for.
    """

    n_lines: int
    acceleration_net: float
    peak_interference: float
    largest_gap: int
    largest_gap_without_a_shot: int
    lines_per_echo: tuple[int, ...]
    lines_per_shot: tuple[int, int]
    echo_time_error_s: float


def pattern_quality(plan: EchoPlan) -> PatternQuality:
    """Judge the pattern of a plan and its distribution over echoes and shots."""
    read = plan.lines != NOT_READ
    per_shot = read.sum(axis=2)
    n_lines = int(plan.pattern.sampled.sum())
    return PatternQuality(
        n_lines=n_lines,
        acceleration_net=plan.n_full * plan.half_scan / n_lines,
        peak_interference=float(interference(plan.pattern.sampled, plan.pattern.density)),
        largest_gap=_largest_gap(plan.counts),
        largest_gap_without_a_shot=max(_largest_gap(remaining) for remaining in _without_each_shot(plan)),
        lines_per_echo=tuple(read.sum(axis=(0, 1)).tolist()),
        lines_per_shot=(int(per_shot.min()), int(per_shot.max())),
        echo_time_error_s=plan.effective_echo_time_s - plan.echo_time_s,
    )


def _without_each_shot(plan: EchoPlan) -> list[np.ndarray]:
    shots = plan.lines.reshape(-1, plan.lines.shape[2])
    return [plan.counts - np.bincount(shot[shot != NOT_READ], minlength=plan.n_full) for shot in shots]


def _largest_gap(counts: np.ndarray) -> int:
    places = np.flatnonzero(counts)
    return int(np.diff(places).max()) if len(places) > 1 else len(counts)
