"""Muscles: bellies lofted through their sections, pressed against one another, the bones and the fascia."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field, Grid, Point
from knerve.datasets.knee.noise import clouds_on
from knerve.datasets.knee.outlines import belly, loft
from knerve.datasets.knee.shapes import drawing

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]

SPACING: Point = (1.0, 1.0, 2.0)
FAT_PLANE_MM = 0.4
END_Z_MM = 96.0


@dataclass(frozen=True)
class Muscle:
    """One belly: its name, distance, and the direction of its fascicles."""

    name: str
    shape: Field
    fibres: Point


def muscles(scale: float, clouds: Float32) -> tuple[Muscle, ...]:
    """All muscles around the knee, with a fat plane between neighbours."""
    table = drawing("muscles")
    shapes = {
        name: _belly(np.asarray(entry["sections"], float), scale, clouds, i)
        for i, (name, entry) in enumerate(table.items())
    }
    pressed = {name: _press(name, shapes) for name in shapes}
    return tuple(Muscle(name, pressed[name], _unit(np.asarray(table[name]["fibres"], float))) for name in table)


def _unit(vector: Real) -> Point:
    x, y, z = (float(c) for c in vector / np.linalg.norm(vector))
    return x, y, z


def _belly(rows: Real, scale: float, clouds: Float32, number: int) -> Field:
    corners = {float(row[0]): belly(tuple(row[1:])) for row in rows}
    every = np.concatenate(list(corners.values())) * scale
    low, high = np.floor(every.min(0)) - 6, np.ceil(every.max(0)) + 6
    bottom, top = (
        float(np.clip(2 * round(z * scale / 2), -END_Z_MM, END_Z_MM))
        for z in (rows[:, 0].min() - 8, rows[:, 0].max() + 8)
    )
    grid = Grid((float(low[0]), float(low[1]), bottom), (float(high[0]), float(high[1]), top), SPACING)
    shape = loft(grid, corners, scale).values
    _, _, z = grid.mesh()
    lowest, highest = rows[:, 0].min() * scale, rows[:, 0].max() * scale
    over = np.maximum(0 if highest >= 90 * scale else z - highest, 0 if lowest <= -90 * scale else lowest - z)
    uneven = 0.7 * clouds_on(grid, clouds, 11.0, 3.0 + number, 3.0) + 0.3 * clouds_on(
        grid, clouds, 4.0, 4.0 + number, 3.0
    )
    return Field(grid, shape + np.maximum(over, 0).astype(np.float32) + uneven)


def _press(name: str, shapes: dict[str, Field]) -> Field:
    """The belly, moved back to the surface midway to each neighbour that it would run into."""
    mine = shapes[name]
    values = mine.values.copy()
    for other, theirs in shapes.items():
        overlap = _overlap(mine.grid, theirs.grid)
        if other == name or overlap is None:
            continue
        here, there = overlap
        between = 0.5 * (mine.values[here] - theirs.values[there] + FAT_PLANE_MM)
        values[here] = np.maximum(values[here], np.where(theirs.values[there] < 3, between, -9))
    return Field(mine.grid, values)


def _overlap(a: Grid, b: Grid) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """Index ranges (z, y, x) in both grids of what they share."""
    here: list[slice] = []
    there: list[slice] = []
    for i in (2, 1, 0):
        low, high = max(a.low[i], b.low[i]), min(a.high[i], b.high[i])
        n = round((high - low) / SPACING[i]) + 1
        if n < 2:
            return None
        first_a, first_b = round((low - a.low[i]) / SPACING[i]), round((low - b.low[i]) / SPACING[i])
        here.append(slice(first_a, first_a + n))
        there.append(slice(first_b, first_b + n))
    return tuple(here), tuple(there)
