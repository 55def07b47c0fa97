"""A phantom of ellipses and polygons whose k-space is known in closed form: the oracle of the simulation.

    ellipse    A exp(-2πi k·c) · a b J1(2π q) / q,    q = |(a u, b v)|, (u, v) = k turned into the ellipse's axes
    polygon    i / (2π |k|²) · sum over edges e of (kx e_y - ky e_x) exp(-2πi k·m) sinc(k·e),  counter-clockwise, m midpoints

Shapes are columns along the normal of the phantom's own plane and are imaged in planes parallel to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from knerve.datasets.scan_plane import ScanPlane, Vector
from knerve.recon.errors import SettingsError

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

SCAN_LINES = 8  # per row of pixels: along x coverage is exact, along y it is their mean
PARALLEL = 1e-6
HEAD_TO_FEET = (-1e3, 1e3)


@dataclass(frozen=True)
class Ellipse:
    """Semi-axes `a` and `b` about (x, y), in mm, turned by `turn_deg` from x towards y.

    It is of `tissue`; where it lies inside a shape of another one, `within` is taken away there. `depth_mm` is where the column
    begins and ends along the normal.
    """

    tissue: str
    x: float
    y: float
    a: float
    b: float
    turn_deg: float = 0.0
    within: str | None = None
    depth_mm: tuple[float, float] = HEAD_TO_FEET

    def spectrum(self, kx: Real, ky: Real) -> Complex:
        """Fourier integral at spatial frequencies in cycles per mm."""
        turn = math.radians(self.turn_deg)
        u, v = kx * math.cos(turn) + ky * math.sin(turn), ky * math.cos(turn) - kx * math.sin(turn)
        q = np.maximum(np.hypot(self.a * u, self.b * v), 1e-9)
        bessel = torch.special.bessel_j1(torch.from_numpy(np.asarray(2 * np.pi * q))).numpy()
        return np.asarray(self.a * self.b * bessel / q * np.exp(-2j * np.pi * (kx * self.x + ky * self.y)))

    def chords(self, y_mm: Real) -> tuple[Real, Real]:
        """(line, 1) where each scan line enters and leaves."""
        turn = math.radians(self.turn_deg)
        c, s = math.cos(turn), math.sin(turn)
        y = y_mm[:, None] - self.y
        square = (c / self.a) ** 2 + (s / self.b) ** 2
        mixed = c * s * (1 / self.a**2 - 1 / self.b**2) * y
        rest = ((s / self.a) ** 2 + (c / self.b) ** 2) * y**2 - 1
        root = np.sqrt(np.maximum(mixed**2 - square * rest, 0))
        return self.x + (-mixed - root) / square, self.x + (-mixed + root) / square


@dataclass(frozen=True)
class Polygon:
    """Corners (x, y) in mm, counter-clockwise from x towards y; the other fields as of `Ellipse`."""

    tissue: str
    corners: tuple[tuple[float, float], ...]
    within: str | None = None
    depth_mm: tuple[float, float] = HEAD_TO_FEET

    def spectrum(self, kx: Real, ky: Real) -> Complex:
        """Fourier integral at spatial frequencies in cycles per mm."""
        corners = np.array(self.corners)
        edges = np.roll(corners, -1, axis=0) - corners
        total = np.zeros(np.broadcast_shapes(np.shape(kx), np.shape(ky)), dtype=np.complex128)
        for (length_x, length_y), (x, y) in zip(edges, corners + edges / 2, strict=True):
            along = np.sinc(kx * length_x + ky * length_y)
            total += (kx * length_y - ky * length_x) * np.exp(-2j * np.pi * (kx * x + ky * y)) * along
        square = kx**2 + ky**2
        x, y = corners.T
        area = float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        return np.asarray(np.where(square > 0, 1j * total / (2 * np.pi * np.where(square > 0, square, 1)), area))

    def chords(self, y_mm: Real) -> tuple[Real, Real]:
        """(line, chord) where each scan line enters and leaves; chords that are not there have no length."""
        corners = np.array(self.corners)
        (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
        line = y_mm[:, None]
        crosses = (y0 <= line) != (y1 <= line)
        rise = np.where(y1 == y0, 1.0, y1 - y0)
        places = np.sort(np.where(crosses, x0 + (line - y0) / rise * (x1 - x0), np.inf), axis=1)
        places = places[:, : 2 * (places.shape[1] // 2)]
        enter, leave = places[:, ::2], places[:, 1::2]
        return np.where(np.isfinite(leave), enter, 0.0), np.where(np.isfinite(leave), leave, 0.0)


Shape = Ellipse | Polygon


class AnalyticPhantom:
    """Columns of ellipses and polygons; an `Anatomy`.

    Attributes:
        shapes: of the phantom; two of one place must lie one `within` the other.
        plane: whose x, y and normal the shapes are given in.
    """

    def __init__(self, shapes: Sequence[Shape], plane: ScanPlane) -> None:
        self.shapes = tuple(shapes)
        self.plane = plane
        self._latest: tuple[tuple[bytes, bytes], dict[Shape, tuple[slice, NDArray[np.float32]]]] = ((b"", b""), {})

    @property
    def tissues(self) -> tuple[str, ...]:
        """Names of the tissues, in the order in which they first occur."""
        return tuple(dict.fromkeys(shape.tissue for shape in self.shapes))

    @property
    def position_mm(self) -> Vector:
        """The origin of its plane."""
        return self.plane.centre_mm

    def add_fractions(
        self, fractions: NDArray[np.float32], plane: ScanPlane, x_mm: Real, y_mm: Real, weights: Real
    ) -> None:
        """See `Anatomy`."""
        offset_x, offset_y, depth = self._offset(plane)
        for shape in self.shapes:
            if shape.depth_mm[0] <= depth < shape.depth_mm[1]:
                weight = float(weights[self.tissues.index(shape.tissue)])
                inside = float(weights[self.tissues.index(shape.within)]) if shape.within else 0.0
                if weight or inside:
                    rows, covered = self._covered(shape, x_mm + offset_x, y_mm + offset_y)
                    fractions[self.tissues.index(shape.tissue), rows] += np.float32(weight) * covered
                    if shape.within and inside:
                        fractions[self.tissues.index(shape.within), rows] -= np.float32(inside) * covered

    def spectrum(self, tissue: str, plane: ScanPlane, kx: Real, ky: Real) -> Complex:
        """Fourier integral of a tissue's share of a plane, at frequencies in cycles per mm about the plane's centre."""
        offset_x, offset_y, depth = self._offset(plane)
        total = np.zeros(np.broadcast_shapes(np.shape(kx), np.shape(ky)), dtype=np.complex128)
        for shape in self.shapes:
            if shape.depth_mm[0] <= depth < shape.depth_mm[1]:
                if shape.tissue == tissue:
                    total += shape.spectrum(kx, ky)
                if shape.within == tissue:
                    total -= shape.spectrum(kx, ky)
        return total * np.exp(2j * np.pi * (kx * offset_x + ky * offset_y))

    def _covered(self, shape: Shape, x_mm: Real, y_mm: Real) -> tuple[slice, NDArray[np.float32]]:
        """As `_coverage`; columns look the same in all planes of a slice, so the latest raster's are kept."""
        raster, drawn = self._latest
        if raster != (x_mm.tobytes(), y_mm.tobytes()):
            drawn = {}
            self._latest = (x_mm.tobytes(), y_mm.tobytes()), drawn  # at once: slices are drawn side by side
        if shape not in drawn:
            drawn[shape] = _coverage(shape, x_mm, y_mm)
        return drawn[shape]

    def _offset(self, plane: ScanPlane) -> tuple[float, float, float]:
        """Where the centre of `plane` lies in the phantom's own plane, and its depth."""
        axes = np.array([self.plane.read, self.plane.phase, self.plane.normal])
        if np.abs(axes - np.array([plane.read, plane.phase, plane.normal])).max() > PARALLEL:
            raise SettingsError(
                "An analytic phantom is imaged in planes parallel to its own, with the same read and phase directions; "
                f"the plane asked for has the normal {plane.normal}, the phantom's {self.plane.normal}."
            )
        x, y, depth = axes @ (np.asarray(plane.centre_mm) - np.asarray(self.plane.centre_mm))
        return float(x), float(y), float(depth)


def _coverage(shape: Shape, x_mm: Real, y_mm: Real) -> tuple[slice, NDArray[np.float32]]:
    """Rows that the shape may touch, and the part of each of their pixels that it covers, (y, x)."""
    pixel_x, pixel_y = x_mm[1] - x_mm[0], y_mm[1] - y_mm[0]
    within = ((np.arange(SCAN_LINES) + 0.5) / SCAN_LINES - 0.5) * pixel_y
    enter, leave = shape.chords((y_mm[:, None] + within).ravel())
    n_x, row = len(x_mm), np.arange(len(enter)) // SCAN_LINES
    steps = np.zeros(len(y_mm) * (n_x + 2))
    for places, sign in ((enter, 1.0), (leave, -1.0)):
        edge = np.clip((places - x_mm[0]) / pixel_x + 0.5, 0, n_x)
        cell = edge.astype(np.int64)
        where, part = row[:, None] * (n_x + 2) + cell, sign * (edge - cell) / SCAN_LINES
        steps += np.bincount(where.ravel(), (sign / SCAN_LINES - part).ravel(), len(steps))
        steps += np.bincount(where.ravel() + 1, part.ravel(), len(steps))
    covered = steps.reshape(len(y_mm), n_x + 2)
    touched = np.flatnonzero((enter != leave).reshape(len(y_mm), -1).any(axis=1))
    rows = slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 0)
    return rows, covered[rows].cumsum(axis=1)[:, :n_x].astype(np.float32)
