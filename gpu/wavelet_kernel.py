"""Shrinkage of an image's orthogonal wavelet coefficients by their neighbourhoods, fused: analysis, shrinkage and synthesis.

    image -> roll -> Wᵀ S_t(W image) -> roll back        S_t is `shrink_by_neighbours`; the coarsest approximation is kept

The kernels are in `wavelet_analysis.py`, `neighbour_shrinkage.py` and `wavelet_synthesis.py`. The plain version, which explains
it and is its test oracle, is `WaveletTransform` with `shrink_by_neighbours`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knerve.gpu.image_update import Update
from knerve.gpu.lanes import LANES
from knerve.gpu.neighbour_shrinkage import shrink_rows
from knerve.gpu.wavelet_analysis import analyse_columns, analyse_image, analyse_rows
from knerve.gpu.wavelet_synthesis import synthesise_columns, synthesise_image, synthesise_rows
from knerve.gpu.workers import FEWEST_ROWS, spread

Real = NDArray[np.float32]


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
                _run(analyse_image, n_x, image, self._n_rows, *shift, b, n_y, low, high)
            else:
                _run(analyse_rows, n_x, a, b, n_y, low, high)
            _run(analyse_columns, n_x // 2, b, self._whole, n_x, n_y, low, high)
            _run(shrink_rows, n_x, self._whole, a, n_x, n_y, least)

    def _synthesise(self, s: int, shift: tuple[int, int], update: Update) -> None:
        a, b, low, high = self._coefficients, self._halfway, self._low, self._high
        for level, (n_x, n_y) in reversed(list(enumerate(self._sides))):
            _run(synthesise_columns, n_x // 2, a, b, n_x, n_y, low, high)
            if level > 0:
                _run(synthesise_rows, n_x, b, a, n_y, low, high)
        padded_x, padded_y = self._sides[0]
        _run(
            synthesise_image,
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
