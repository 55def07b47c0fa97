"""Where the parts of an object and its nerves lie in a slice, on the grid of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.anatomy_extras import Course, HasNerves, HasStructures
from knerve.datasets.scan_plane import Anatomy, ScanPlane
from knerve.datasets.slice_stack import ScanGrid
from knerve.datasets.slice_weights import SliceProfile, subplane_weights, subplanes_mm

Real = NDArray[np.float64]
Labels = NDArray[np.uint8]

COURSE_STEP_MM = 3.0  # more than the distance of a course's points
MASK_STEPS = 255  # of a nerve's share of a pixel


@dataclass(frozen=True)
class AnatomyTruth:
    """One slice of an object, all (y, x).

    Attributes:
        structures: index of the named part in the middle of the slice; None where the object does not name its parts.
        masks: by name of the nerve, its share of each pixel of the slice in steps of 1 / `MASK_STEPS`.
    """

    structures: NDArray[np.uint16] | None
    masks: Mapping[str, Labels]


def anatomy_truth(anatomy: Anatomy, plane: ScanPlane, profile: SliceProfile, grid: ScanGrid) -> AnatomyTruth:
    """What an object knows about one slice of itself."""
    structures = None
    if isinstance(anatomy, HasStructures):
        structures = anatomy.label_map(plane, *grid.image_axes_mm).astype(np.uint16)
    return AnatomyTruth(structures, _nerve_masks(anatomy, plane, profile, grid))


def _nerve_masks(anatomy: Anatomy, plane: ScanPlane, profile: SliceProfile, grid: ScanGrid) -> dict[str, Labels]:
    if not isinstance(anatomy, HasNerves):
        return {}
    depths = subplanes_mm(profile.extent_mm)
    weights = subplane_weights(profile, depths, np.zeros(1))[:, 0]
    x_mm, y_mm = grid.image_axes_mm
    masks = {}
    for nerve in anatomy.nerves:
        share = np.zeros((len(y_mm), len(x_mm)))
        columns, rows = _window(nerve, plane, profile.extent_mm, x_mm, y_mm)
        if columns.stop > columns.start + 1 and rows.stop > rows.start + 1:
            for depth, weight in zip(depths[weights > 0], weights[weights > 0], strict=True):
                at_depth = plane.shifted(float(depth))
                share[rows, columns] += weight * anatomy.nerve_fraction(nerve.name, at_depth, x_mm[columns], y_mm[rows])
        masks[nerve.name] = np.round(np.clip(share, 0, 1) * MASK_STEPS).astype(np.uint8)
    return masks


def _window(nerve: Course, plane: ScanPlane, extent_mm: float, x_mm: Real, y_mm: Real) -> tuple[slice, slice]:
    """Columns and rows of an image in which a nerve can be seen."""
    axes = np.array([plane.read, plane.phase, plane.normal])
    x, y, depth = axes @ (nerve.points_mm - np.asarray(plane.centre_mm)).T
    margin_mm = 2 * nerve.diameter_mm + COURSE_STEP_MM
    near = np.abs(depth) < extent_mm + margin_mm
    if not near.any():
        return slice(0, 0), slice(0, 0)
    columns, rows = (
        slice(*np.searchsorted(axis, [place[near].min() - margin_mm, place[near].max() + margin_mm]).tolist())
        for place, axis in ((x, x_mm), (y, y_mm))
    )
    return columns, rows
