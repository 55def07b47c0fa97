"""Where the last kernel of an iteration puts the new image, and what it makes of it on the way; on a GPU: `cuda_update.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lanes import LANES, load, splat, store

Real = NDArray[np.float32]


@dataclass(frozen=True)
class Update:
    """Where a new image goes, and what is made of it on the way; planes, float32 (set, 2, row, y).

    Attributes:
        x: image of this iteration.
        before: image of the iteration before.
        momentum: β of z = x + β (x - before).
        target: the new image.
        mean: running mean of images.
        share: of the new image that is added to the mean.
    """

    x: Real
    before: Real
    momentum: float
    target: Real
    mean: Real
    share: float


@kernel
def row_slope(new: Real, now: Real, old: Real, momentum: np.float32, share: np.float32, mean: Real) -> float:
    """Σ (z - new) (new - now) of a row, and mean += share · new."""
    n = len(new)
    whole = n // LANES * LANES
    sums = np.zeros(LANES, np.float32)
    total = np.float32(0) * splat(np.float32(0))
    for y in range(0, whole, LANES):
        v, a = load(new, y), load(now, y)
        store(mean, y, load(mean, y) + share * v)
        total = total + (a + momentum * (a - load(old, y)) - v) * (v - a)
    store(sums, 0, total)
    slope = 0.0
    for lane in range(LANES):
        slope += sums[lane]
    for y in range(whole, n):
        mean[y] += share * new[y]
        slope += (now[y] + momentum * (now[y] - old[y]) - new[y]) * (new[y] - now[y])
    return slope
