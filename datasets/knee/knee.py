"""The digital knee: an anatomy that scans are simulated of, with its nerves' courses as truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.courses import NerveCourse
from knerve.datasets.knee.materials import TISSUES
from knerve.datasets.knee.metal import Shaft, field_t
from knerve.datasets.knee.render import Packed, View, paint_fractions, paint_labels, paint_structure
from knerve.datasets.scan_plane import ScanPlane, Vector

Real = NDArray[np.float64]
Float32 = NDArray[np.float32]
Side = Literal["right", "left"]


@dataclass(frozen=True)
class Knee:
    """One knee, lying in the magnet.

    Attributes:
        side: of the patient.
        size: 1 for a mean man's knee.
        position_mm: patient coordinates (LPS) of the middle between the femur's condyles.
        nerves: with their courses.
        landmarks: patient coordinates (LPS) by name.
        structures: names of the label map's numbers; the first is air.
        shafts: of metal in the scene.
    """

    side: Side
    size: float
    position_mm: Vector
    nerves: tuple[NerveCourse, ...]
    landmarks: dict[str, Vector]
    structures: tuple[str, ...]
    shafts: tuple[Shaft, ...]
    _packed: Packed = field(repr=False)

    @property
    def tissues(self) -> tuple[str, ...]:
        """Names in the tissue table, in the order of the fractions' first axis."""
        return TISSUES

    def add_fractions(self, fractions: Float32, plane: ScanPlane, x_mm: Real, y_mm: Real, weights: Real) -> None:
        """Add an infinitely thin plane to a slice; see `scan_plane.Anatomy`."""
        paint_fractions(self._packed, self._view(plane, x_mm, y_mm), weights, fractions)

    def label_map(self, plane: ScanPlane, x_mm: Real, y_mm: Real) -> NDArray[np.int32]:
        """Index (y, x) into `structures` of what covers most of each pixel."""
        return paint_labels(self._packed, self._view(plane, x_mm, y_mm))

    def nerve_fraction(self, name: str, plane: ScanPlane, x_mm: Real, y_mm: Real) -> Float32:
        """Part (y, x) of each pixel that a nerve covers.

        Raises:
            KeyError: there is no such nerve.
        """
        if name not in {nerve.name for nerve in self.nerves}:
            known = ", ".join(nerve.name for nerve in self.nerves)
            raise KeyError(f"The knee has no nerve {name!r}; choose one of {known}.")
        return paint_structure(self._packed, self._view(plane, x_mm, y_mm), self.structures.index(nerve_label(name)))

    def field_t(self, points_mm: Real, field_strength_t: float = 3.0) -> Real:
        """Change (...) of the main field, in tesla, that metal makes at points (..., 3) in patient coordinates (LPS, mm)."""
        total = np.zeros(points_mm.shape[:-1])
        for shaft in self.shafts:
            total += field_t(shaft, points_mm, field_strength_t)
        return total

    def _view(self, plane: ScanPlane, x_mm: Real, y_mm: Real) -> View:
        mirror = to_knee(self.side)
        centre = mirror * (np.asarray(plane.centre_mm) - np.asarray(self.position_mm))
        frame = np.stack([centre, mirror * np.asarray(plane.read), mirror * np.asarray(plane.phase)])
        return View(frame, np.asarray(x_mm, float), np.asarray(y_mm, float))


def to_knee(side: Side) -> Real:
    """Signs (3) between patient coordinates (left, posterior, superior) and the knee's (medial, anterior, proximal)."""
    return np.array([1.0 if side == "right" else -1.0, -1.0, 1.0])


def nerve_label(name: str) -> str:
    """A nerve's name in the label map."""
    return f"nerve: {name}"
