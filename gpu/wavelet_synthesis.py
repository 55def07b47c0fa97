"""Kernels from wavelet coefficients back to the image, a level at a time: along x, then along y row by row in the core's cache.

The transpose of `wavelet_analysis.py`; the last level fills the new image and all that is made of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.gpu.image_update import row_slope
from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lanes import LANES, load, store, weave_high, weave_low

Real = NDArray[np.float32]


@kernel
def synthesise_columns(start: int, stop: int, a: Real, b: Real, n_x: int, n_y: int, low: Real, high: Real) -> None:
    """Rows k and n_x / 2 + k of a along x into rows 2 k and 2 k + 1 of b; may write LANES beyond n_y."""
    m, pairs = n_x // 2, len(low) // 2
    for k in range(start, stop):
        for part in range(2):
            even, odd = b[part, 2 * k], b[part, 2 * k + 1]
            for y in range(0, n_y, LANES):
                u, v = load(a[part, k], y), load(a[part, m + k], y)
                e, o = low[0] * u + high[0] * v, low[1] * u + high[1] * v
                for j in range(1, pairs):
                    row = k - j
                    while row < 0:
                        row += m
                    u, v = load(a[part, row], y), load(a[part, m + row], y)
                    e = e + (low[2 * j] * u + high[2 * j] * v)
                    o = o + (low[2 * j + 1] * u + high[2 * j + 1] * v)
                store(even, y, e)
                store(odd, y, o)


@kernel
def synthesise_rows(start: int, stop: int, b: Real, a: Real, n_y: int, low: Real, high: Real) -> None:
    """Rows of b, low-pass half then high-pass half, along y into a."""
    scratch = np.empty((3, n_y + len(low) + 2 * LANES), np.float32)
    for row in range(start, stop):
        for part in range(2):
            _synthesise_row(b[part, row], n_y, low, high, scratch)
            a[part, row, :n_y] = scratch[2, :n_y]


@kernel
def _synthesise_row(source: Real, n: int, low: Real, high: Real, scratch: Real) -> None:
    """The row whose halves are in `source`, into scratch[2]."""
    m, pairs = n // 2, len(low) // 2
    u, v, target = scratch[0], scratch[1], scratch[2]
    for j in range(pairs):  # the halves behind their own ends
        u[j], v[j] = source[(j - pairs) % m], source[m + (j - pairs) % m]
    u[pairs : pairs + m], v[pairs : pairs + m] = source[:m], source[m:n]
    for k in range(0, m, LANES):
        at = k + pairs
        a, b = load(u, at), load(v, at)
        e, o = low[0] * a + high[0] * b, low[1] * a + high[1] * b
        for j in range(1, pairs):
            a, b = load(u, at - j), load(v, at - j)
            e = e + (low[2 * j] * a + high[2 * j] * b)
            o = o + (low[2 * j + 1] * a + high[2 * j + 1] * b)
        store(target, 2 * k, weave_low(e, o))
        store(target, 2 * k + LANES, weave_high(e, o))


@kernel
def synthesise_image(
    start: int,
    stop: int,
    b: Real,
    n_x: int,
    n_y: int,
    low: Real,
    high: Real,
    shift_x: int,
    shift_y: int,
    x: Real,
    before: Real,
    momentum: np.float32,
    share: np.float32,
    mean: Real,
    target: Real,
    uphill: NDArray[np.float64],
) -> None:
    """Rows of b along y, rolled back, into the target; `uphill` and `mean` on the way."""
    n = target.shape[2]
    first = min(n, n_y - shift_y)
    scratch = np.empty((3, n_y + len(low) + 2 * LANES), np.float32)
    for row in range(start, stop):
        slope = 0.0
        for part in range(2):
            _synthesise_row(b[part, (row + shift_x) % n_x], n_y, low, high, scratch)
            new, now, old, total = target[part, row], x[part, row], before[part, row], mean[part, row]
            new[:first] = scratch[2, shift_y : shift_y + first]
            new[first:] = scratch[2, : n - first]
            slope += row_slope(new, now, old, momentum, share, total)
        uphill[row] = slope
