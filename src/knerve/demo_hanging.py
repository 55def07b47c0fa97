"""How an acquired image is hung on the wall: head up, the patient's right on the left, whichever way it was read out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.scan_plane import ScanPlane, Vector
from knerve.datasets.slice_planes import direction_letters

LEFT, BACK, HEAD = 0, 1, 2  # axes of patient coordinates


@dataclass(frozen=True)
class Hanging:
    """What is done to an image (y, x): first its axes change places, then they are reversed.

    Attributes:
        exchanged: whether the axes change places.
        rows_reversed: afterwards.
        columns_reversed: afterwards.
        edges: letters of the patient's directions at the left, right, upper and lower edge.
    """

    exchanged: bool
    rows_reversed: bool
    columns_reversed: bool
    edges: tuple[str, str, str, str]

    @classmethod
    def of(cls, plane: ScanPlane) -> Hanging:
        """For images of a plane: x towards the patient's left or back, y towards the back or the feet."""
        x, y = np.array(plane.read), np.array(plane.phase)
        exchanged = _main_axis(x) == HEAD or _main_axis(y) == LEFT
        if exchanged:
            x, y = y, x
        columns_reversed = x[_main_axis(x)] < 0
        rows_reversed = (y[_main_axis(y)] < 0) == (_main_axis(y) != HEAD)
        x, y = (-x if columns_reversed else x), (-y if rows_reversed else y)
        return cls(
            exchanged,
            bool(rows_reversed),
            bool(columns_reversed),
            (_letter(-x), _letter(x), _letter(-y), _letter(y)),
        )

    def picture(self, image: NDArray[Any]) -> NDArray[Any]:
        """The image (y, x) as it hangs."""
        turned = image.T if self.exchanged else image
        turned = turned[::-1] if self.rows_reversed else turned
        return turned[:, ::-1] if self.columns_reversed else turned

    def place(self, row: float, column: float, shape: tuple[int, ...]) -> tuple[float, float]:
        """Where a place of the image of this shape (y, x) hangs."""
        n_rows, n_columns = shape
        if self.exchanged:
            row, column, n_rows, n_columns = column, row, n_columns, n_rows
        return (
            n_rows - 1 - row if self.rows_reversed else row,
            n_columns - 1 - column if self.columns_reversed else column,
        )

    def pixel_mm(self, pixel_mm: tuple[float, float]) -> tuple[float, float]:
        """Size (dx, dy) of a pixel as it hangs."""
        dx, dy = pixel_mm
        return (dy, dx) if self.exchanged else (dx, dy)


def _main_axis(direction: NDArray[np.float64]) -> int:
    return int(np.abs(direction).argmax())


def _letter(direction: Vector | NDArray[np.float64]) -> str:
    return direction_letters(np.asarray(direction))[:1]
