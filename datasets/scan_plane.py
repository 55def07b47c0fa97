"""Where an image plane lies in the patient, and what can be imaged there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class ScanPlane:
    """A plane in patient coordinates: LPS (left, posterior, superior positive), mm.

    Attributes:
        centre_mm: of the field of view.
        read: unit vector along which the readout encodes; x of the plane.
        phase: unit vector along which the phase encodes; y of the plane.
        normal: unit vector along which slices are selected; read, phase and normal are right-handed.
    """

    centre_mm: Vector
    read: Vector
    phase: Vector
    normal: Vector

    def shifted(self, distance_mm: float) -> ScanPlane:
        """The same plane, moved along its normal."""
        centre = np.asarray(self.centre_mm) + distance_mm * np.asarray(self.normal)
        return replace(self, centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])))

    def points_mm(self, x_mm: Real, y_mm: Real) -> Real:
        """Patient coordinates (y, x, 3) of the raster with these axes about the centre."""
        along_read = x_mm[None, :, None] * np.asarray(self.read)
        along_phase = y_mm[:, None, None] * np.asarray(self.phase)
        return np.asarray(np.asarray(self.centre_mm) + along_read + along_phase)


class Anatomy(Protocol):
    """An object that a scan can be simulated of.

    Attributes:
        tissues: names in the tissue table, in the order of the fractions' first axis.
    """

    @property
    def tissues(self) -> tuple[str, ...]:
        """Names of the tissues."""

    def add_fractions(
        self, fractions: NDArray[np.float32], plane: ScanPlane, x_mm: Real, y_mm: Real, weights: Real
    ) -> None:
        """Add this infinitely thin plane to a slice.

        Args:
            fractions: (tissue, y, x), changed in place: a pixel gains weight times the part of its area that a tissue covers;
                the parts of a pixel sum to one inside the object and to zero in air.
            plane: where.
            x_mm: pixel centres along the readout, evenly spaced, about the plane's centre.
            y_mm: pixel centres along the phase encode.
            weights: (tissue) of this plane in the slice; a tissue of weight zero is left alone.
        """
