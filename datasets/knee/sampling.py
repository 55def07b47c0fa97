"""Read smooth 3-D fields on a plane, periodic textures at a point, and outlines' distances on a grid: compiled loops."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.compiled import compiled

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]

CELL_POINTS = 4
FAR_MM = 12.0  # from a surface: no edge is softer, no layer is set off further


@compiled
def _spline_weights(t: float) -> tuple[float, float, float, float]:
    """Cubic B-spline weights of the four neighbours at the fraction t past the second."""
    s = 1.0 - t
    return s * s * s / 6, (4 - 6 * t * t + 3 * t * t * t) / 6, (4 - 6 * s * s + 3 * s * s * s) / 6, t * t * t / 6


@compiled
def _point_at(start: Real, step_u: Real, step_v: Real, u: int, v: int) -> tuple[float, float, float]:
    return (
        start[0] + u * step_u[0] + v * step_v[0],
        start[1] + u * step_u[1] + v * step_v[1],
        start[2] + u * step_u[2] + v * step_v[2],
    )


@compiled
def _field_at(values: Float32, origin: Real, spacing: Real, px: float, py: float, pz: float) -> float:
    """A field (z, y, x), cubic B-spline, at one point.

    Beyond the grid's sides the distance to them is added, beyond its ends in z the last section goes on.
    """
    n_z, n_y, n_x = values.shape
    beyond = 0.0
    x, y, z = (px - origin[0]) / spacing[0], (py - origin[1]) / spacing[1], (pz - origin[2]) / spacing[2]
    z = min(max(z, 1.0), n_z - 2.001)
    if x < 1.0 or x > n_x - 2.001:
        inside = min(max(x, 1.0), n_x - 2.001)
        beyond += abs(x - inside) * spacing[0]
        x = inside
    if y < 1.0 or y > n_y - 2.001:
        inside = min(max(y, 1.0), n_y - 2.001)
        beyond += abs(y - inside) * spacing[1]
        y = inside
    if beyond > 4.0:
        return beyond
    i, j, k = int(x), int(y), int(z)
    x0, x1, x2, x3 = _spline_weights(x - i)
    wy, wz = _spline_weights(y - j), _spline_weights(z - k)
    total = 0.0
    for c in range(4):
        for b in range(4):
            m, n = k - 1 + c, j - 1 + b
            row = x0 * values[m, n, i - 1] + x1 * values[m, n, i] + x2 * values[m, n, i + 1] + x3 * values[m, n, i + 2]
            total += row * wz[c] * wy[b]
    return total + beyond


@compiled
def field_on_plane(
    values: Float32, origin: Real, spacing: Real, start: Real, step_u: Real, step_v: Real, out: Float32
) -> None:
    """Evaluate a field (z, y, x) at start + u step_u + v step_v, into out (v, u); see `_field_at`.

    The points lie closely: cells of a few whose corners are far from the surface, all on one side, are filled in between.
    """
    n_v, n_u = out.shape
    for v in range(0, n_v + CELL_POINTS - 1, CELL_POINTS):
        for u in range(0, n_u + CELL_POINTS - 1, CELL_POINTS):
            j, i = min(v, n_v - 1), min(u, n_u - 1)
            px, py, pz = _point_at(start, step_u, step_v, i, j)
            out[j, i] = _field_at(values, origin, spacing, px, py, pz)
    for v in range(0, max(n_v - 1, 1), CELL_POINTS):
        for u in range(0, max(n_u - 1, 1), CELL_POINTS):
            last_v, last_u = min(v + CELL_POINTS, n_v - 1), min(u + CELL_POINTS, n_u - 1)
            a, b, c, d = out[v, u], out[v, last_u], out[last_v, u], out[last_v, last_u]
            is_far = min(a, b, c, d) > FAR_MM or max(a, b, c, d) < -FAR_MM
            for j in range(v, last_v + (last_v == n_v - 1)):
                t = (j - v) / max(last_v - v, 1)
                for i in range(u, last_u + (last_u == n_u - 1)):
                    s = (i - u) / max(last_u - u, 1)
                    if is_far:
                        out[j, i] = (a * (1 - s) + b * s) * (1 - t) + (c * (1 - s) + d * s) * t
                    else:
                        px, py, pz = _point_at(start, step_u, step_v, i, j)
                        out[j, i] = _field_at(values, origin, spacing, px, py, pz)


@compiled
def texture_at(volume: Float32, x: float, y: float, z: float) -> float:
    """Trilinear value of a periodic cube (n, n, n), n a power of two, at x, y, z in voxels."""
    mask = volume.shape[0] - 1
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    tx, ty, tz = x - fx, y - fy, z - fz
    i0, j0, k0 = int(fx) & mask, int(fy) & mask, int(fz) & mask
    i1, j1, k1 = (i0 + 1) & mask, (j0 + 1) & mask, (k0 + 1) & mask
    low = (volume[k0, j0, i0] * (1 - tx) + volume[k0, j0, i1] * tx) * (1 - ty)
    low += (volume[k0, j1, i0] * (1 - tx) + volume[k0, j1, i1] * tx) * ty
    high = (volume[k1, j0, i0] * (1 - tx) + volume[k1, j0, i1] * tx) * (1 - ty)
    high += (volume[k1, j1, i0] * (1 - tx) + volume[k1, j1, i1] * tx) * ty
    return low * (1 - tz) + high * tz


@compiled
def outline_distance(outline: Real, x_mm: Real, y_mm: Real, out: Float32) -> None:
    """Signed distance (y, x), negative inside, to the closed polygon (corner, 2)."""
    n = outline.shape[0]
    for row in range(y_mm.shape[0]):
        for column in range(x_mm.shape[0]):
            x, y = x_mm[column], y_mm[row]
            nearest, inside = 1e18, False
            for i in range(n):
                ax, ay = outline[i, 0], outline[i, 1]
                bx, by = outline[(i + 1) % n, 0], outline[(i + 1) % n, 1]
                ex, ey = bx - ax, by - ay
                t = ((x - ax) * ex + (y - ay) * ey) / max(ex * ex + ey * ey, 1e-12)
                t = min(max(t, 0.0), 1.0)
                dx, dy = x - ax - t * ex, y - ay - t * ey
                nearest = min(nearest, dx * dx + dy * dy)
                if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * ex:
                    inside = not inside
            distance = math.sqrt(nearest)
            out[row, column] = -distance if inside else distance


@compiled
def wall_distances(seeds: Float32, steps: NDArray[np.int64], n_voxels: int, out: Float32) -> None:
    """Distance to the nearest wall between periodic Voronoi cells, in cells, into out (n, n, n).

    seeds (cell, cell, cell, 3) are offsets within unit cells, steps (27, 3) lead to a cell's neighbours and itself.
    """
    n_cells = seeds.shape[0]
    for k in range(n_voxels):
        for j in range(n_voxels):
            for i in range(n_voxels):
                x, y, z = i * n_cells / n_voxels, j * n_cells / n_voxels, k * n_cells / n_voxels
                cx, cy, cz = int(x), int(y), int(z)
                first, second = 1e9, 1e9
                for step in steps:  # as data: three nested loops of three keep the compiler busy for minutes
                    a, b, c = cx + step[0], cy + step[1], cz + step[2]
                    seed = seeds[c % n_cells, b % n_cells, a % n_cells]
                    dx, dy, dz = a + seed[0] - x, b + seed[1] - y, c + seed[2] - z
                    distance = dx * dx + dy * dy + dz * dz
                    if distance < first:
                        second = first
                        first = distance
                    elif distance < second:
                        second = distance
                out[k, j, i] = 0.5 * (math.sqrt(second) - math.sqrt(first))
