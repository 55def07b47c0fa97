"""One dual step of total variation on the planes of one slice, fused; `recon/total_variation.py` explains it and is its oracle.

    u = v + λ div p,      p_next = (p + ∇u / 8 λ) into the unit ball,      x_next = v + λ div p_next

∇ are periodic forward differences along rows (x) and y; the ball is that of both differences of both complex parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.gpu.image_update import Update, row_slope
from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lanes import LANES, load, store, to_unit_ball
from knerve.gpu.workers import FEWEST_ROWS, spread

Real = NDArray[np.float32]
BOUND = 8.0  # of ‖∇‖², two axes


class VariationStep:
    """The step for one slice; it keeps the dual field from call to call. Rows beyond `n_rows` are left alone.

    Args:
        n_rows: image rows (x).
        planes_shape: (set, 2, row, y) of the images.
    """

    def __init__(self, n_rows: int, planes_shape: tuple[int, ...]) -> None:
        self._n_rows, self._n_sets = n_rows, planes_shape[0]
        n = planes_shape[3]
        # (set, axis and part, row, y): y begins at LANES, before it the row's last value; vectors may run over the end
        shape = (self._n_sets, 4, n_rows, -(-n // LANES) * LANES + LANES)
        self._dual, self._next_dual = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._uphill = np.zeros((self._n_sets, n_rows))

    def __call__(self, image: Real, weight: float, update: Update) -> float:
        """Lower the total variation of `image` with weight λ; the result goes where `update` says.

        Returns:
            Σ Re((z - x_next)* (x_next - x)), positive where momentum points uphill.
        """
        for s in range(self._n_sets):
            self._one_set(s, image, np.float32(weight), update)
        self._dual, self._next_dual = self._next_dual, self._dual
        return float(self._uphill.sum())

    def _one_set(self, s: int, image: Real, weight: np.float32, update: Update) -> None:
        dual, following = self._dual[s], self._next_dual[s]

        def ascend(start: int, stop: int) -> None:
            _ascend(start, stop, image[s], dual, following, self._n_rows, weight)

        def descend(start: int, stop: int) -> None:
            _descend(
                start,
                stop,
                image[s],
                following,
                self._n_rows,
                weight,
                update.x[s],
                update.before[s],
                np.float32(update.momentum),
                np.float32(update.share),
                update.mean[s],
                update.target[s],
                self._uphill[s],
            )

        spread(ascend, self._n_rows, FEWEST_ROWS)
        spread(descend, self._n_rows, FEWEST_ROWS)


@kernel
def _divided(
    image: Real, dual: Real, row: int, n_rows: int, weight: np.float32, part: int, padded: Real, out: Real
) -> None:
    """A row of image + weight · div(dual) into out; `padded` is scratch."""
    n = image.shape[2]
    before = row - 1 if row > 0 else n_rows - 1
    padded[:n] = image[part, row]
    across, across_before, along = dual[part, row], dual[part, before], dual[2 + part, row]
    for y in range(0, n, LANES):
        i = y + LANES
        change = (load(across, i) - load(across_before, i)) + (load(along, i) - load(along, i - 1))
        store(out, y, load(padded, y) + weight * change)


@kernel
def _ascend(start: int, stop: int, image: Real, dual: Real, following: Real, n_rows: int, weight: np.float32) -> None:
    n = image.shape[2]
    width = (n + LANES - 1) // LANES * LANES + LANES
    padded = np.zeros(width, np.float32)
    now, ahead = np.zeros((2, width), np.float32), np.zeros((2, width), np.float32)
    pace = np.float32(1) / (np.float32(BOUND) * max(weight, np.float32(1e-12)))
    for part in range(2):
        _divided(image, dual, start, n_rows, weight, part, padded, now[part])
        now[part, n] = now[part, 0]
    for row in range(start, stop):
        for part in range(2):
            _divided(image, dual, row + 1 if row + 1 < n_rows else 0, n_rows, weight, part, padded, ahead[part])
            ahead[part, n] = ahead[part, 0]
        for y in range(0, n, LANES):
            i = y + LANES
            re, im = load(now[0], y), load(now[1], y)
            across_re = load(dual[0, row], i) + pace * (load(ahead[0], y) - re)
            across_im = load(dual[1, row], i) + pace * (load(ahead[1], y) - im)
            along_re = load(dual[2, row], i) + pace * (load(now[0], y + 1) - re)
            along_im = load(dual[3, row], i) + pace * (load(now[1], y + 1) - im)
            power = (across_re * across_re + across_im * across_im) + (along_re * along_re + along_im * along_im)
            scale = to_unit_ball(power)
            store(following[0, row], i, scale * across_re)
            store(following[1, row], i, scale * across_im)
            store(following[2, row], i, scale * along_re)
            store(following[3, row], i, scale * along_im)
        for k in range(4):
            following[k, row, LANES - 1] = following[k, row, LANES + n - 1]
        now, ahead = ahead, now


@kernel
def _descend(
    start: int,
    stop: int,
    image: Real,
    dual: Real,
    n_rows: int,
    weight: np.float32,
    x: Real,
    before: Real,
    momentum: np.float32,
    share: np.float32,
    mean: Real,
    target: Real,
    uphill: NDArray[np.float64],
) -> None:
    n = image.shape[2]
    width = (n + LANES - 1) // LANES * LANES
    padded, out = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for row in range(start, stop):
        slope = 0.0
        for part in range(2):
            _divided(image, dual, row, n_rows, weight, part, padded, out)
            new = target[part, row]
            new[:] = out[:n]
            slope += row_slope(new, x[part, row], before[part, row], momentum, share, mean[part, row])
        uphill[row] = slope
