"""The kernel that shrinks wavelet coefficients of one level by their neighbourhoods: three rows are read to shrink one.

`shrink_by_neighbours` of `recon/sparsity.py` explains it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lanes import LANES, load, shrink, splat, store

Real = NDArray[np.float32]


@kernel
def shrink_rows(start: int, stop: int, whole: Real, a: Real, n_x: int, n_y: int, least: np.float32) -> None:
    """Rows of `whole` into a, all but the low-low quarter shrunk."""
    half_x, half_y = n_x // 2, n_y // 2
    power = np.zeros(n_y + 2 * LANES, np.float32)
    for k in range(start, stop):
        first, last = (0, half_x) if k < half_x else (half_x, n_x)
        above, below = max(k - 1, first), min(k + 1, last - 1)
        if k < half_x:
            a[0, k, :half_y], a[1, k, :half_y] = whole[0, k, :half_y], whole[1, k, :half_y]
        else:
            _shrink_row(whole, a, above, k, below, 0, half_y, least, power)
        _shrink_row(whole, a, above, k, below, half_y, n_y, least, power)


@kernel
def _shrink_row(
    whole: Real, a: Real, above: int, k: int, below: int, first: int, last: int, least: np.float32, power: Real
) -> None:
    """Row k of one band, columns `first` to before `last`; a band's edge stands for what lies beyond it."""
    n, ninth = last - first, np.float32(1 / 9)
    for y in range(0, n, LANES):
        total = np.float32(0) * splat(np.float32(0))
        for part in range(2):
            p, q, r = (
                load(whole[part, above], first + y),
                load(whole[part, k], first + y),
                load(whole[part, below], first + y),
            )
            total = total + (p * p + q * q + r * r)
        store(power, y + 1, total)
    power[0], power[n + 1] = power[1], power[n]
    vectors = n // LANES * LANES
    for y in range(0, vectors, LANES):
        kept = shrink(ninth * (load(power, y) + load(power, y + 1) + load(power, y + 2)), least)
        store(a[0, k], first + y, load(whole[0, k], first + y) * kept)
        store(a[1, k], first + y, load(whole[1, k], first + y) * kept)
    for y in range(vectors, n):
        mean = ninth * (power[y] + power[y + 1] + power[y + 2])
        rest = np.float32(1) - least / mean if mean > least else np.float32(0)
        a[0, k, first + y], a[1, k, first + y] = whole[0, k, first + y] * rest, whole[1, k, first + y] * rest
