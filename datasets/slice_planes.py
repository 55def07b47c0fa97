"""Where every 2-D image of a series lies in the patient, in LPS coordinates and millimetres.

With a Fourier reconstruction the pixel at index n // 2 lies at the frame's position, so the first pixel lies at

    corner = position - (nx // 2) dx r - (ny // 2) dy c,    r = read_dir, c = phase_dir.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.recon.images import ImageSeries
from knerve.recon.scan import Frame

Point = NDArray[np.float64]
VolumeKey = tuple[int, int, int, int]
_SAME_PLACE_MM = 0.01


@dataclass(frozen=True)
class Plane:
    """One 2-D image: pixel (y, x) has its centre at `corner_mm + x dx row_dir + y dy column_dir`.

    Attributes:
        entry: index on the series' `slice` axis.
        partition: index on the z axis of a 3-D scan, else 0.
        frame: which image this is.
        row_dir: unit vector along x.
        column_dir: unit vector along y, orthogonal to `row_dir`.
        stack_dir: unit vector normal to both, on the side of the frame's `slice_dir`.
        corner_mm: centre of the first pixel.
        spacing_mm: (dx, dy).
        thickness_mm: of the slice or partition; 0 where unknown.
        spacing_between_mm: distance to the next slice of an equidistant parallel stack, else None.
    """

    entry: int
    partition: int
    frame: Frame
    row_dir: Point
    column_dir: Point
    stack_dir: Point
    corner_mm: Point
    spacing_mm: tuple[float, float]
    thickness_mm: float
    spacing_between_mm: float | None

    @property
    def depth_mm(self) -> float:
        """Position along `stack_dir`: orders the planes of a parallel stack."""
        return float(self.corner_mm @ self.stack_dir)

    @property
    def location_mm(self) -> float:
        """Position along the normal `row_dir` x `column_dir`."""
        return float(self.corner_mm @ np.cross(self.row_dir, self.column_dir))


def volume_key(frame: Frame) -> VolumeKey:
    """What tells volumes of a series apart: (repetition, contrast, set, phase)."""
    return (frame.repetition, frame.contrast, frame.set, frame.phase)


def planes(images: ImageSeries) -> tuple[Plane, ...]:
    """Every 2-D image of the series: partitions follow each other within each entry of the `slice` axis."""
    positions = _positions(images)
    spacing = _stack_spacing(images, positions)
    return tuple(
        _plane(images, entry, partition, positions[entry], spacing[volume_key(frame)])
        for entry, frame in enumerate(images.frames)
        for partition in range(_n_partitions(images))
    )


def parallel_step(stack: list[Plane]) -> Point | None:
    """Vector from each plane to the next of an equidistant, parallel, unsheared stack; None where it is not one.

    `stack` is in order along `stack_dir` and has at least two planes.
    """
    normal = stack[0].stack_dir
    corners = np.stack([plane.corner_mm for plane in stack])
    step = normal * float((corners[-1] - corners[0]) @ normal) / (len(stack) - 1)
    expected = corners[0] + np.arange(len(stack))[:, None] * step
    parallel = all(
        np.allclose(plane.row_dir, stack[0].row_dir, atol=1e-4)
        and np.allclose(plane.column_dir, stack[0].column_dir, atol=1e-4)
        for plane in stack
    )
    equidistant = np.abs(corners - expected).max() < _SAME_PLACE_MM and np.linalg.norm(step) > _SAME_PLACE_MM
    return step if parallel and equidistant else None


def direction_letters(direction: Point) -> str:
    """Patient directions that a vector points to, the strongest first: "L", "HA", as viewers write at image edges."""
    letters = [(abs(value), pair[int(value > 0)]) for value, pair in zip(direction, ("RL", "AP", "FH"), strict=True)]
    return "".join(letter for size, letter in sorted(letters, reverse=True) if size > 0.1)


def _plane(images: ImageSeries, entry: int, partition: int, position: Point, spacing_between: float | None) -> Plane:
    frame = images.frames[entry]
    ny, nx = images.image.shape[-2:]
    dx, dy = images.grid.recon_fov_mm[0] / nx, images.grid.recon_fov_mm[1] / ny
    row, column, normal = _axes(frame)
    thickness = _thickness_mm(images)
    centre = position + (partition - _n_partitions(images) // 2) * thickness * normal if images.is_3d else position
    return Plane(
        entry=entry,
        partition=partition,
        frame=frame,
        row_dir=row,
        column_dir=column,
        stack_dir=normal,
        corner_mm=centre - (nx // 2) * dx * row - (ny // 2) * dy * column,
        spacing_mm=(dx, dy),
        thickness_mm=thickness,
        spacing_between_mm=thickness if images.is_3d else spacing_between,
    )


def _axes(frame: Frame) -> tuple[Point, Point, Point]:
    """Row, column and stack direction, orthonormal to double precision: headers carry them in single precision."""
    row = np.asarray(frame.read_dir, np.float64)
    row = row / np.linalg.norm(row)
    column = np.asarray(frame.phase_dir, np.float64)
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    normal = np.cross(row, column)
    return row, column, normal if normal @ np.asarray(frame.slice_dir) >= 0 else -normal


def _n_partitions(images: ImageSeries) -> int:
    return images.image.shape[1] if images.is_3d else 1


def _thickness_mm(images: ImageSeries) -> float:
    return max(0.0, images.grid.recon_fov_mm[2]) / _n_partitions(images)


def _positions(images: ImageSeries) -> list[Point]:
    """Centre of each entry; slices that share one unknown position are stacked in their order, for want of better."""
    given = [np.asarray(frame.position_mm, np.float64) for frame in images.frames]
    depth = (_thickness_mm(images) or 1.0) * _n_partitions(images)
    distinct = {(volume_key(frame), frame.position_mm) for frame in images.frames}
    if len(distinct) == len(images.frames) or any(frame.geometry_known for frame in images.frames):
        return given
    return [
        position + frame.slice * depth * np.array([0.0, 0.0, 1.0])
        for position, frame in zip(given, images.frames, strict=True)
    ]


def _stack_spacing(images: ImageSeries, positions: list[Point]) -> dict[VolumeKey, float | None]:
    """Distance between the slices of each volume; None for a single slice or an uneven stack."""
    volumes: dict[VolumeKey, list[Plane]] = {}
    for entry, frame in enumerate(images.frames):
        plane = _plane(images, entry, 0, positions[entry], None)
        volumes.setdefault(volume_key(frame), []).append(plane)
    spacing: dict[VolumeKey, float | None] = {}
    for key, stack in volumes.items():
        stack.sort(key=lambda plane: plane.depth_mm)
        step = parallel_step(stack) if len(stack) > 1 else None
        spacing[key] = None if step is None else float(np.linalg.norm(step))
    return spacing
