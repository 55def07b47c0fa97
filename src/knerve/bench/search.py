"""The best setting of a peer on one case, found with the truth at hand: better than any of its users could do.

Weights are doubled or halved until the best one has worse neighbours on both sides, then halved once more in between; every
weight is looked at after several numbers of iterations, as stopping early also regularises, and after more as long as they
help. Of all that is within 1 % of the lowest error, the setting with the fewest iterations is taken: the fastest that is as good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knerve.bench.methods import Magnitude, Setting

WITHIN = 1.01  # of the lowest error
VERSION = 1  # raised when a search would find something else than before
ITERATIONS = (5, 10, 20, 30, 40)
MORE_ITERATIONS = (60, 100, 200)
HELPS = 0.995  # of the error before: more iterations are tried while they lower it below this
# numbers of iterations that the best weights are tried with too
BETWEEN = {5: 3, 10: 7, 20: 15, 30: 25, 40: 35, 60: 50, 100: 80, 200: 150}
QUICK_ITERATIONS, QUICK_MORE = (5, 15, 30), (60,)
FARTHEST = 2.0**8  # from the first weight

Curve = Callable[[float, Sequence[int]], Magnitude]
ErrorOf = Callable[[Magnitude], float]


@dataclass(frozen=True)
class Point:
    """One setting that was tried, and its NRMSE."""

    weight: float
    iterations: int
    nrmse: float


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        chosen: fewest iterations within 1 % of the best.
        best: lowest error of all.
        points: everything that was tried.
    """

    chosen: Point
    best: Point
    points: tuple[Point, ...]

    @property
    def setting(self) -> Setting:
        """To be timed."""
        return Setting(self.chosen.weight, self.chosen.iterations)


def search(curve: Curve, error_of: ErrorOf, start: float, *, quick: bool) -> Found:
    """Find the best weight and iterations.

    Args:
        curve: images after several numbers of iterations with one weight.
        error_of: NRMSE of an image.
        start: first weight.
        quick: steps of two and few numbers of iterations only.
    """
    points: list[Point] = []
    first, more = (QUICK_ITERATIONS, QUICK_MORE) if quick else (ITERATIONS, MORE_ITERATIONS)

    def look(weight: float, iterations: Sequence[int]) -> list[float]:
        errors = [error_of(image) for image in curve(weight, iterations)]
        points.extend(Point(weight, n, error) for n, error in zip(iterations, errors, strict=True))
        return errors

    def lowest(weight: float) -> float:
        tried = [point.nrmse for point in points if math.isclose(point.weight, weight)]
        if tried:
            return min(tried)
        errors = look(weight, first)
        for n in more:
            if errors[-1] > HELPS * errors[-2]:
                break
            errors += look(weight, (n,))
        return min(errors)

    best = downhill(lowest, start)
    if not quick:
        near = sorted((best / math.sqrt(2), best, best * math.sqrt(2)), key=lowest)
        n = chosen_from(points).chosen.iterations
        for weight in near[:2] if n in BETWEEN else ():
            look(weight, (BETWEEN[n],))
    return chosen_from(points)


def downhill(error_of: Callable[[float], float], start: float) -> float:
    """The weight, a power of two times `start`, whose neighbours are both worse."""
    best = start
    for factor in (2.0, 0.5):
        while start / FARTHEST < best * factor < start * FARTHEST and error_of(best * factor) < error_of(best):
            best *= factor
    return best


def chosen_from(points: Sequence[Point]) -> Found:
    """The fastest of the good ones."""
    best = min(points, key=lambda point: point.nrmse)
    good = [point for point in points if point.nrmse <= WITHIN * best.nrmse]
    chosen = min(good, key=lambda point: (point.iterations, point.nrmse))
    return Found(chosen, best, tuple(points))
