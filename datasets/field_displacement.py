"""What a bent field does to a slice: spins appear where their frequency belongs, not where they are.

Along the readout a place x appears at x + u(x), u = ΔB / G. Signal is neither made nor lost: it piles up where u falls and thins
out where u rises; beside a needle places swap and leave a void. Each pixel is an interval of constant density whose ends are
moved; the densities add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.anatomy_extras import HasField
from knerve.datasets.scan_plane import Anatomy, ScanPlane
from knerve.sequences.quantities import GAMMA_HZ_PER_T

Real = NDArray[np.float64]
Image = NDArray[np.float32]

PROBE_MM = 1.5  # pitch at which a bent field is looked for
STILL_MM = 0.02
MARGIN_MM = 6.0  # what is displaced stays in the window
NARROWEST = 0.05  # pixels: a caustic is not sharper than this
STILL = 0.01  # pixels: a row that moves less is left alone


@dataclass(frozen=True)
class BentField:
    """The field of an object as a protocol sees it.

    Attributes:
        source: of the field.
        read_mm_per_hz: displacement along the readout.
        depth_mm: from so much farther away than its own depth a slice may take spins.
    """

    source: HasField
    read_mm_per_hz: float
    depth_mm: float = 2.0

    def window(self, plane: ScanPlane, depths_mm: Real, x_mm: Real, y_mm: Real) -> tuple[slice, slice]:
        """Columns and rows of a raster outside which the field displaces nothing, as seen on a coarse one; maybe empty."""
        coarse_x, coarse_y = (np.arange(axis[0], axis[-1], PROBE_MM) for axis in (x_mm, y_mm))
        bends = np.zeros((len(coarse_y), len(coarse_x)), bool)
        for depth in depths_mm:
            moved_mm = self.hz(plane.shifted(float(depth)), coarse_x, coarse_y) * self.read_mm_per_hz
            bends |= np.abs(moved_mm) > STILL_MM
        return _around(coarse_x[bends.any(axis=0)], x_mm), _around(coarse_y[bends.any(axis=1)], y_mm)

    def hz(self, plane: ScanPlane, x_mm: Real, y_mm: Real) -> Real:
        """Frequency (y, x) against the undisturbed field."""
        return np.asarray(self.source.field_t(plane.points_mm(x_mm, y_mm)) * GAMMA_HZ_PER_T)


def bent_field(anatomy: Anatomy, read_mm_per_hz: float) -> BentField | None:
    """The bent field of an object, None where it bends none."""
    return BentField(anatomy, read_mm_per_hz) if isinstance(anatomy, HasField) else None


def _around(found_mm: Real, axis_mm: Real) -> slice:
    if not len(found_mm):
        return slice(0, 0)
    ends = np.searchsorted(axis_mm, [found_mm[0] - MARGIN_MM, found_mm[-1] + MARGIN_MM])
    return slice(int(ends[0]), int(ends[1]))


def displaced_readouts(image: Image, shift_px: Real) -> Image:
    """The image (y, x) with every pixel moved along x by `shift_px (y, x)`; its sum stays, up to what leaves the image."""
    moved = np.array(image, dtype=np.float32)
    moving = np.flatnonzero((np.abs(shift_px) > STILL).any(axis=1) & image.any(axis=1))
    if len(moving):
        moved[moving] = _displaced(image[moving].astype(np.float64), shift_px[moving])
    return moved


def _displaced(rows: Real, shift_px: Real) -> Real:
    n_rows, n = rows.shape
    at_edges = np.empty((n_rows, n + 1))
    at_edges[:, 1:-1] = (shift_px[:, 1:] + shift_px[:, :-1]) / 2
    at_edges[:, 0], at_edges[:, -1] = shift_px[:, 0], shift_px[:, -1]
    edges = np.arange(n + 1) + at_edges
    low, high = np.minimum(edges[:, :-1], edges[:, 1:]), np.maximum(edges[:, :-1], edges[:, 1:])
    widen = np.maximum(NARROWEST - (high - low), 0) / 2
    low, high = low - widen, high + widen
    density = rows / (high - low)
    steps = np.zeros(n_rows * (n + 2))
    for place, height in ((low, density), (high, -density)):
        held = np.clip(place, 0, n)
        cell = np.minimum(held.astype(np.int64), n)
        part = held - cell
        where = cell + np.arange(n_rows)[:, None] * (n + 2)
        steps += np.bincount(where.ravel(), (height * (1 - part)).ravel(), len(steps))
        steps += np.bincount(where.ravel() + 1, (height * part).ravel(), len(steps))
    return np.asarray(steps.reshape(n_rows, n + 2).cumsum(axis=1)[:, :n])
