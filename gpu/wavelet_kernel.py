"""Shrinkage of an image's orthogonal wavelet coefficients by their neighbourhoods, fused: analysis, shrinkage and synthesis.

    image -> roll -> Wᵀ S_t(W image) -> roll back        S_t is `shrink_by_neighbours`; the coarsest approximation is kept

Level by level: along y row by row in the core's cache, then along x, then three rows at a time to shrink the middle one.
The plain version, which explains it and is its test oracle, is `WaveletTransform` with `shrink_by_neighbours`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lanes import LANES, evens, load, odds, shrink, splat, store, weave_high, weave_low
from knerve.gpu.workers import spread

Real = NDArray[np.float32]
FEWEST_ROWS = 200  # that are worth waking a thread for


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


class WaveletShrinkage:
    """The proximal operator of a wavelet prior on one slice's planes; rows beyond `n_rows` are left alone.

    Args:
        low_pass: filter, an even number of taps.
        levels: of the transform.
        n_rows: image rows (x).
        padded: sides (x, y) that 2^levels divides; images are padded with zeros to them.
        planes_shape: (set, 2, row, y) of the images.
    """

    def __init__(
        self,
        low_pass: Sequence[float],
        levels: int,
        n_rows: int,
        padded: tuple[int, int],
        planes_shape: tuple[int, ...],
    ) -> None:
        signs = (-1.0) ** np.arange(len(low_pass))
        self._low: Real = np.array(low_pass, np.float32)
        self._high: Real = (signs * self._low[::-1]).astype(np.float32)
        self._sides = [(padded[0] >> level, padded[1] >> level) for level in range(levels)]
        self._n_rows, self._n_sets = n_rows, planes_shape[0]
        # vectors may run over a row's end
        self._coefficients: Real = np.zeros((2, padded[0], padded[1] + 2 * LANES), np.float32)
        self._halfway: Real = np.zeros_like(self._coefficients)
        self._whole: Real = np.zeros_like(self._coefficients)  # coefficients of a level before they are shrunk
        self._uphill = np.zeros((self._n_sets, n_rows))

    def __call__(self, image: Real, shift: tuple[int, int], threshold: float, update: Update) -> float:
        """Shrink the image's coefficients on the wavelet grid moved by `shift`; the result goes where `update` says.

        Returns:
            Σ Re((z - x_next)* (x_next - x)), positive where momentum points uphill.
        """
        for s in range(self._n_sets):
            self._analyse(image[s], shift, np.float32(threshold))
            self._synthesise(s, shift, update)
        return float(self._uphill.sum())

    def _analyse(self, image: Real, shift: tuple[int, int], threshold: np.float32) -> None:
        a, b, low, high = self._coefficients, self._halfway, self._low, self._high
        least = threshold * threshold
        for level, (n_x, n_y) in enumerate(self._sides):
            if level == 0:
                _run(_analyse_image, n_x, image, self._n_rows, *shift, b, n_y, low, high)
            else:
                _run(_analyse_rows, n_x, a, b, n_y, low, high)
            _run(_analyse_columns, n_x // 2, b, self._whole, n_x, n_y, low, high)
            _run(_shrink_rows, n_x, self._whole, a, n_x, n_y, least)

    def _synthesise(self, s: int, shift: tuple[int, int], update: Update) -> None:
        a, b, low, high = self._coefficients, self._halfway, self._low, self._high
        for level, (n_x, n_y) in reversed(list(enumerate(self._sides))):
            _run(_synthesise_columns, n_x // 2, a, b, n_x, n_y, low, high)
            if level > 0:
                _run(_synthesise_rows, n_x, b, a, n_y, low, high)
        padded_x, padded_y = self._sides[0]
        _run(
            _synthesise_image,
            self._n_rows,
            b,
            padded_x,
            padded_y,
            low,
            high,
            *shift,
            update.x[s],
            update.before[s],
            np.float32(update.momentum),
            np.float32(update.share),
            update.mean[s],
            update.target[s],
            self._uphill[s],
        )


def _run(task: Callable[..., None], n: int, *arguments: Any) -> None:  # noqa: ANN401 - what the kernel takes
    spread(lambda start, stop: task(start, stop, *arguments), n, FEWEST_ROWS)


@kernel
def _analyse_image(
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
def _analyse_rows(start: int, stop: int, a: Real, b: Real, n_y: int, low: Real, high: Real) -> None:
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
def _analyse_columns(start: int, stop: int, b: Real, a: Real, n_x: int, n_y: int, low: Real, high: Real) -> None:
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


@kernel
def _shrink_rows(start: int, stop: int, whole: Real, a: Real, n_x: int, n_y: int, least: np.float32) -> None:
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


@kernel
def _synthesise_columns(start: int, stop: int, a: Real, b: Real, n_x: int, n_y: int, low: Real, high: Real) -> None:
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
def _synthesise_rows(start: int, stop: int, b: Real, a: Real, n_y: int, low: Real, high: Real) -> None:
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
def _synthesise_image(
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
