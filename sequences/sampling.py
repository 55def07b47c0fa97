"""Which lines of k-space are read: variable-density patterns with an exact count, neither regular nor left to chance.

Outside a fully sampled calibration block, the density of lines is (1 - |ky|/kmax)^power, but not below a share of its mean. Each
side of the block is cut into as many intervals of equal density as it gets lines, and one line is drawn in each, at about the
same place of all: neighbours are everywhere about as far apart as the density says. Gaps that chance leaves near the centre
cost compressed sensing dearly (`benchmarks/line_patterns.py`). The outermost lines are always read, or the voxel would be larger
than the protocol says. Of several draws the one with the lowest interference is kept.

Methods: density, Lustig 2007, doi:10.1002/mrm.21391; one sample an interval, jittered sampling, Cook 1986, doi:10.1145/7529.8927.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError

Mask = NDArray[np.bool_]
Real = NDArray[np.float64]

LEAST_DENSITY = 0.5  # of the mean outside of the block
JITTER = 0.5  # of its interval, within which a line lies anywhere; all lines of a side are shifted by up to the rest


@dataclass(frozen=True)
class LinePattern:
    """Lines of k-space to read, ky = 0 at index n // 2.

    Attributes:
        sampled: (ky) bool.
        density: (ky) how many lines are read of each on average about it; 1 in the calibration block and at the edges.
        calibration: first and last + 1 line of the fully sampled block.
    """

    sampled: Mask
    density: Real
    calibration: tuple[int, int]

    @property
    def lines(self) -> NDArray[np.int64]:
        """Indices of the sampled lines, ascending."""
        return np.flatnonzero(self.sampled)


@dataclass(frozen=True)
class _Side:
    """One side of the calibration block: lines `start + step · d`, d = 1 ... length outwards, `count` of them to be read."""

    start: int
    step: int
    length: int
    count: int


def variable_density(
    n_full: int,
    n_lines: int,
    *,
    n_calibration: int = 32,
    density_power: float = 1.0,
    largest_gap: int | None = None,
    n_covered: int | None = None,
    n_candidates: int = 16,
    seed: int = 0,
    stream: int = 0,
) -> LinePattern:
    """Draw exactly `n_lines` of `n_full` lines.

    Args:
        n_full: lines of the whole grid.
        n_lines: lines to read, the calibration block included.
        n_calibration: fully sampled lines about ky = 0.
        density_power: of (1 - |ky|/kmax); 0 is uniform.
        largest_gap: from neighbour to neighbour at most, in lines; None leaves it to the density.
        n_covered: lines that half scan leaves, the first ones are left out; None is all.
        n_candidates: patterns drawn; the one with the lowest interference is kept.
        seed: of everything random.
        stream: tells patterns of one seed apart, one for each slice, say.

    Raises:
        ProtocolError: the lines are too many, too few for the block, or too few for the gap.
    """
    n_covered = n_full if n_covered is None else n_covered
    gap = n_full if largest_gap is None else largest_gap
    _check_counts(n_full, n_covered, n_lines, n_calibration, gap)
    low, high = calibration_block(n_full, n_calibration)
    if n_lines == n_covered:
        sampled = np.arange(n_full) >= n_full - n_covered
        return LinePattern(sampled, sampled.astype(np.float64), (low, high))
    density, sides = _density_and_sides(n_full, n_covered, n_lines, (low, high), density_power, gap)
    random = np.random.default_rng([seed, stream])
    candidates = np.zeros((n_candidates, n_full), dtype=bool)
    candidates[:, low:high] = True
    for sampled in candidates:
        for side in sides:
            sampled[_draw(side, density, gap, random)] = True
    best = int(np.argmin(interference(candidates, density)))
    return LinePattern(candidates[best], density, (low, high))


def interference(sampled: Mask, density: Real) -> Real:
    """Highest false peak of a point: the transform of what chance added to the density, relative to the point itself.

    The blur that the smooth density makes by itself is not interference and stays out. `sampled (..., ky)`, result (...).
    """
    spread = np.abs(np.fft.fft(sampled - density))[..., 1:].max(axis=-1)
    return np.asarray(spread / sampled.sum(axis=-1), dtype=np.float64)


def largest_calibration(n_full: int, n_covered: int, n_lines: int) -> int:
    """The widest block about ky = 0 that the lines allow, both edges of k-space set aside."""
    centre, first = n_full // 2, n_full - n_covered
    widest = min(2 * (centre - first) + 1, 2 * (n_full - centre))
    return widest if n_lines >= n_covered else min(widest, n_lines - 2)


def smallest_possible_gap(n_full: int, n_covered: int, n_lines: int, n_calibration: int) -> int:
    """The smallest gap that the lines outside the calibration block can keep."""
    lengths = _side_lengths(n_full, n_covered, n_calibration)
    gap = 1
    while sum(math.ceil(length / gap) for length in lengths) > max(n_lines - n_calibration, len(lengths)):
        gap += 1
    return gap


def calibration_block(n_full: int, n_calibration: int) -> tuple[int, int]:
    """First and last + 1 line of the block about ky = 0."""
    low = n_full // 2 - n_calibration // 2
    return low, low + n_calibration


def _side_lengths(n_full: int, n_covered: int, n_calibration: int) -> tuple[int, int]:
    low, high = calibration_block(n_full, n_calibration)
    return low - (n_full - n_covered), n_full - high


def _check_counts(n_full: int, n_covered: int, n_lines: int, n_calibration: int, gap: int) -> None:
    if not 0 < n_lines <= n_covered <= n_full:
        raise ProtocolError(
            f"{n_lines} lines are to be read of {n_covered} covered ones on a grid of {n_full}. "
            f"Nearest valid value: {min(max(n_lines, 1), n_covered, n_full)}."
        )
    most = largest_calibration(n_full, n_covered, n_lines)
    if not 1 <= n_calibration <= most:
        raise ProtocolError(
            f"The calibration block has {n_calibration} lines; {n_lines} lines leave room for 1 to {most}. "
            f"Nearest valid value: {min(max(n_calibration, 1), most)}."
        )
    least = smallest_possible_gap(n_full, n_covered, n_lines, n_calibration)
    if gap < least:
        raise ProtocolError(
            f"The largest gap is {gap}; {n_lines} lines, {n_calibration} of them in the centre, cannot be closer than {least}. "
            f"Nearest valid value: {least}."
        )


def _density_and_sides(
    n_full: int, n_covered: int, n_lines: int, block: tuple[int, int], power: float, gap: int
) -> tuple[Real, tuple[_Side, ...]]:
    """The density of lines, and the two sides with the number of lines that each is to hold."""
    low, high = block
    below, above = low - (n_full - n_covered), n_full - high
    remaining = n_lines - (high - low)
    edges = [edge for edge, length in ((n_full - n_covered, below), (n_full - 1, above)) if length]
    reach = np.abs(np.arange(n_full) - n_full // 2) / (n_full // 2 + 1)
    drawn = np.arange(n_full) >= n_full - n_covered
    drawn[low:high] = False
    drawn[edges] = False
    density = np.zeros(n_full)
    density[drawn] = _density((1 - reach[drawn]) ** power, remaining - len(edges))
    density[edges] = 1.0
    need_below, need_above = math.ceil(below / gap), math.ceil(above / gap)
    count_below = min(
        max(round(float(density[:low].sum())), need_below, remaining - above), below, remaining - need_above
    )
    sides = (_Side(low, -1, below, count_below), _Side(high - 1, 1, above, remaining - count_below))
    density[low:high] = 1.0
    return density, sides


def _density(weights: Real, count: int) -> Real:
    """Proportional to the weights, none below a share of the mean and none above 1, summing to `count`."""
    if not len(weights):
        return weights
    least = LEAST_DENSITY * count / len(weights)
    low, high = 0.0, 1.0
    while np.clip(high * weights, least, 1).sum() < count and high < 1e60:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        if np.clip(middle * weights, least, 1).sum() < count:
            low = middle
        else:
            high = middle
    return np.asarray(np.clip(high * weights, least, 1), dtype=np.float64)


def _draw(side: _Side, density: Real, gap: int, random: np.random.Generator) -> NDArray[np.int64]:
    """The lines of one side: the outermost, and one from every interval inside, no two further apart than the gap."""
    distances = np.arange(1, side.length)
    n_drawn = side.count - 1
    if n_drawn < 0:
        return np.empty(0, dtype=np.int64)
    until = np.cumsum(density[side.start + side.step * distances])
    shift = (1 - JITTER) * (random.random() - 0.5)
    places = np.arange(n_drawn) + 0.5 + JITTER * (random.random(n_drawn) - 0.5) + shift
    chosen = np.searchsorted(until, places * until[-1] / n_drawn) + 1 if n_drawn else distances[:0]
    outwards = _close_gaps([side.length, *chosen[::-1].tolist()], gap, random)
    return side.start + side.step * np.asarray(outwards, dtype=np.int64)


def _close_gaps(distances: list[int], gap: int, random: np.random.Generator) -> list[int]:
    """Move lines outwards where the next is too far, from the sparse edge towards the dense centre.

    `distances` from the block do not ascend; those that are equal are moved apart. A line that has to move goes between half a
    gap and a gap from its neighbour, at random, so that no regular comb arises.
    """
    jitter = random.integers(math.ceil(gap / 2), gap + 1, size=len(distances)).tolist()
    kept = [distances[0]]
    for index in range(1, len(distances)):
        left = len(distances) - index  # gaps from here to the block
        place = distances[index] if distances[index] >= kept[-1] - gap else kept[-1] - jitter[index]
        kept.append(min(max(place, kept[-1] - gap, left), kept[-1] - 1, left * gap))
    return kept
