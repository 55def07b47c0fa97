"""What an object may know about itself beside its tissues; the simulation uses what there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.scan_plane import ScanPlane, Vector

Real = NDArray[np.float64]


@runtime_checkable
class Placed(Protocol):
    """An object that lies somewhere in the magnet."""

    @property
    def position_mm(self) -> Vector:
        """Of its middle, in patient coordinates (LPS)."""


@runtime_checkable
class HasField(Protocol):
    """An object that bends the field, because of a needle in it."""

    def field_t(self, points_mm: Real) -> Real:
        """ΔB (...) in T at patient coordinates (..., 3)."""


class Course(Protocol):
    """A nerve's centre line."""

    @property
    def name(self) -> str:
        """Of the nerve."""

    @property
    def diameter_mm(self) -> float:
        """Of the nerve."""

    @property
    def points_mm(self) -> Real:
        """(point, 3) in patient coordinates (LPS)."""


@runtime_checkable
class HasNerves(Protocol):
    """An object that knows where its nerves are."""

    @property
    def nerves(self) -> Sequence[Course]:
        """All of them."""

    def nerve_fraction(self, name: str, plane: ScanPlane, x_mm: Real, y_mm: Real) -> NDArray[np.float32]:
        """The part (y, x) of each pixel of an infinitely thin plane that a nerve covers."""


@runtime_checkable
class HasStructures(Protocol):
    """An object with names for its parts."""

    @property
    def structures(self) -> Sequence[str]:
        """Names of the numbers of the label map; the first is air."""

    def label_map(self, plane: ScanPlane, x_mm: Real, y_mm: Real) -> NDArray[np.int32]:
        """Index (y, x) into `structures` of what covers most of each pixel of an infinitely thin plane."""
