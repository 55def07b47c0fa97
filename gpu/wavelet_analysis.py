"""Kernels from an image to its wavelet coefficients, a level at a time: along y row by row in the core's cache, then along x.

Planes are float32 (part, row, y), complex parts apart; a level's low-pass halves come first, along both axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lanes import LANES, evens, load, odds, store

Real = NDArray[np.float32]


@kernel
def analyse_image(
    start: int,
    stop: int,
    image: Real,
    n_rows: int,
    shift_x: int,
    shift_y: int,
    b: Real,
    n_y: int,
    low: Real,
    high: Real,
) -> None:
    """Rows of the image, padded and rolled, analysed along y into b; the rows of the padding become zero."""
    n = image.shape[2]
    padded = np.zeros(n_y, np.float32)
    phases = np.empty((2, n_y // 2 + len(low) + LANES), np.float32)
    n_x = b.shape[1]
    for row in range(start, stop):
        target = (row + shift_x) % n_x
        for part in range(2):
            if row >= n_rows:
                b[part, target, :] = 0
                continue
            source = image[part, row]
            first = min(n, n_y - shift_y)  # what does not wrap around
            padded[shift_y : shift_y + first] = source[:first]
            padded[: n - first] = source[first:]
            padded[n - first : shift_y] = 0
            padded[shift_y + first :] = 0
            _analyse_row(padded, b[part, target], n_y, low, high, phases)


@kernel
def analyse_rows(start: int, stop: int, a: Real, b: Real, n_y: int, low: Real, high: Real) -> None:
    """Rows of a analysed along y into b; may write LANES beyond n_y."""
    phases = np.empty((2, n_y // 2 + len(low) + LANES), np.float32)
    for row in range(start, stop):
        for part in range(2):
            _analyse_row(a[part, row], b[part, row], n_y, low, high, phases)


@kernel
def _analyse_row(source: Real, target: Real, n: int, low: Real, high: Real, phases: Real) -> None:
    """Low-pass half, then high-pass half; may write LANES beyond n."""
    m, pairs = n // 2, len(low) // 2
    even, odd = phases[0], phases[1]
    whole = n // (2 * LANES) * LANES
    for k in range(0, whole, LANES):
        a, b = load(source, 2 * k), load(source, 2 * k + LANES)
        store(even, k, evens(a, b))
        store(odd, k, odds(a, b))
    for k in range(whole, m):
        even[k], odd[k] = source[2 * k], source[2 * k + 1]
    for k in range(pairs):
        even[m + k], odd[m + k] = even[k % m], odd[k % m]
    for k in range(0, m, LANES):
        _filter_phases(even, odd, k, low, pairs, target, k)
    for k in range(0, m, LANES):
        _filter_phases(even, odd, k, high, pairs, target, m + k)


@kernel
def _filter_phases(even: Real, odd: Real, k: int, taps: Real, pairs: int, target: Real, at: int) -> None:
    total = taps[0] * load(even, k) + taps[1] * load(odd, k)
    for j in range(1, pairs):
        total = total + (taps[2 * j] * load(even, k + j) + taps[2 * j + 1] * load(odd, k + j))
    store(target, at, total)


@kernel
def analyse_columns(start: int, stop: int, b: Real, a: Real, n_x: int, n_y: int, low: Real, high: Real) -> None:
    """Rows b along x into rows k and n_x / 2 + k of a; may write LANES beyond n_y."""
    m, taps = n_x // 2, len(low)
    for k in range(start, stop):
        for y in range(0, n_y, LANES):
            re, im = load(b[0, 2 * k], y), load(b[1, 2 * k], y)
            u_re, u_im, v_re, v_im = low[0] * re, low[0] * im, high[0] * re, high[0] * im
            for t in range(1, taps):
                row = 2 * k + t
                while row >= n_x:
                    row -= n_x
                re, im = load(b[0, row], y), load(b[1, row], y)
                u_re, u_im = u_re + low[t] * re, u_im + low[t] * im
                v_re, v_im = v_re + high[t] * re, v_im + high[t] * im
            store(a[0, k], y, u_re)
            store(a[1, k], y, u_im)
            store(a[0, m + k], y, v_re)
            store(a[1, m + k], y, v_im)
