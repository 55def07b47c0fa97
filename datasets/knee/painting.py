"""Paint layers over one another on an image plane, tile by tile: the compiled loops behind `render.py`.

A layer covers a pixel by clip(1/2 - d/w), with d its signed distance and w the pixel's width across its edge. Layers that
cannot touch a tile, or that lie wholly under another, are left out before any pixel is looked at.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.compiled import compiled
from knerve.datasets.knee.paint_arrays import Active, Layers, Looks, Output, Raster
from knerve.datasets.knee.sampling import texture_at

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]
Integers = NDArray[np.int32]

MOST_LAYERS_PER_TILE = 160
MOST_SEGMENTS_PER_TILE = 4000
STEEPEST = 1.7  # no field rises by more than this per mm
LITTLE = 1e-4  # of a pixel: what still shows through is left out
EVERYWHERE = -1  # in place of the first segment: the layer covers the whole tile
BENT_CELL_MM = 3.0  # straight walls of cells this large would look drawn


@compiled
def _tube_edge(
    segments: Real, chosen: Integers, first: int, last: int, u: float, v: float, furthest: float
) -> tuple[float, float, float, float]:
    """Signed distance to the nearest of the chosen segments, its slope along u and v, and its radius (0: flat).

    What lies `furthest` away or more is not looked at.
    """
    best, slope_u, slope_v, radius = furthest, 1.0, 0.0, 0.0
    for n in range(first, last):
        i = chosen[n]
        pu, pv, pw = u - segments[i, 0], v - segments[i, 1], -segments[i, 2]
        length, bend = segments[i, 16], segments[i, 17]
        along = (pu * segments[i, 3] + pv * segments[i, 4] + pw * segments[i, 5]) / length
        t = min(max(along / length, 0.0), 1.0)
        qu, qv, qw = pu - t * segments[i, 3], pv - t * segments[i, 4], pw - t * segments[i, 5]
        a, b = (
            segments[i, 6] + t * (segments[i, 8] - segments[i, 6]),
            segments[i, 7] + t * (segments[i, 9] - segments[i, 7]),
        )
        p = qu * segments[i, 10] + qv * segments[i, 11] + qw * segments[i, 12]
        q = qu * segments[i, 13] + qv * segments[i, 14] + qw * segments[i, 15]
        if max(abs(p) - a, abs(q) - b - 1.1 * abs(bend)) > best:
            continue
        p, q, small, wide = p / a, q / b, min(a, b), max(a, b)
        over = (along - t * length) / small
        if wide > 2.2 * small:  # a strap: flat sides, rounded edges
            q += bend / b * (min(p * p, 1.5) - 0.4)
            cubes = abs(p) ** 3 + abs(q) ** 3 + abs(over) ** 3
            k = cubes ** (1.0 / 3.0)
            p, q, over = p * abs(p), q * abs(q), over * abs(over)
            norm = math.sqrt((p / a) ** 2 + (q / b) ** 2 + (over / small) ** 2)
            distance = -small if norm < 1e-9 else (cubes - k * k) / norm
        else:
            k = math.sqrt(p * p + q * q + over * over)
            norm = math.sqrt((p / a) ** 2 + (q / b) ** 2 + (over / small) ** 2)
            distance = -small if norm < 1e-9 else (k - 1) * k / norm
        if distance < best:
            best = distance
            radius = 0.0 if wide > 2.2 * small else math.sqrt(a * b)
            if norm > 1e-9:
                o = over / small / length
                slope_u = (p / a * segments[i, 10] + q / b * segments[i, 13] + o * segments[i, 3]) / norm
                slope_v = (p / a * segments[i, 11] + q / b * segments[i, 14] + o * segments[i, 4]) / norm
    return best, slope_u, slope_v, radius


@compiled
def _turned(x: float, y: float, z: float) -> tuple[float, float, float]:
    """A point turned askew, so that an image plane seldom meets the same cells of a periodic texture again."""
    return (
        0.7314 * x - 0.4989 * y + 0.4648 * z,
        0.6759 * x + 0.4399 * y - 0.5913 * z,
        0.0905 * x + 0.7467 * y + 0.6590 * z,
    )


@compiled
def _second_fraction(material: Real, x: float, y: float, z: float, clouds: Float32, walls: Float32) -> float:
    """Part of the material's second tissue at a point: a mean, slow clouds, and the walls of stretched cells."""
    mean, cloud_part, cloud_mm, wall_part = material[2], material[3], material[4], material[5]
    wall_mm, cell_mm, stretch = material[6], material[7], material[8]
    if cloud_part == 0.0 and wall_part == 0.0:
        return mean
    cloud = texture_at(clouds, x * 4 / cloud_mm + 11.3, y * 4 / cloud_mm + 5.1, z * 4 / cloud_mm)
    fraction = mean + cloud_part * cloud
    if wall_part > 0.0:
        along = (x * material[9] + y * material[10] + z * material[11]) * (1.0 - 1.0 / stretch)
        x1, y1, z1 = x - along * material[9], y - along * material[10], z - along * material[11]
        if cell_mm > BENT_CELL_MM:
            bend = 0.22 * cell_mm
            p, q, r = 0.9 * x / bend, 0.9 * y / bend, 0.5 * z / bend
            x1 += bend * texture_at(clouds, q, r, p)
            y1 += bend * texture_at(clouds, r, p, q + 31.0)
        scale = 16.0 / cell_mm
        p, q, r = _turned(x1 * scale, y1 * scale, z1 * scale)
        wall = texture_at(walls, p, q, r) * cell_mm
        uneven = max(1.0 + material[12] * cloud, 0.0)
        width = wall_mm * uneven
        if wall < 3.0 * width:
            fraction += wall_part * uneven * math.exp(-((wall / width) ** 2))
    return min(max(fraction, 0.0), 1.0)


@compiled
def _field_edge(
    fields: Integers, terms: Real, layer: int, coarse: Float32, cu: float, cv: float, step: float
) -> tuple[float, float, float]:
    """Signed distance of a layer's fields (term) and its slope along u and v, bilinear at coarse coordinates (cu, cv)."""
    i = min(max(int(cu), 0), coarse.shape[2] - 2)
    j = min(max(int(cv), 0), coarse.shape[1] - 2)
    s, t = cu - i, cv - j
    value, slope_u, slope_v = -1e9, 1.0, 0.0
    for n in range(fields.shape[1]):
        field = fields[layer, n]
        if field < 0:
            break
        f00, f10 = coarse[field, j, i], coarse[field, j, i + 1]
        f01, f11 = coarse[field, j + 1, i], coarse[field, j + 1, i + 1]
        low, high = f00 + (f10 - f00) * s, f01 + (f11 - f01) * s
        here = terms[layer, n, 0] * (low + (high - low) * t) + terms[layer, n, 1]
        if here > value:
            value = here
            slope_u = terms[layer, n, 0] * ((f10 - f00) * (1 - t) + (f11 - f01) * t) / step
            slope_v = terms[layer, n, 0] * (high - low) / step
    return value, slope_u, slope_v


@compiled
def _outside(box: Real, u0: float, u1: float, v0: float, v1: float) -> bool:
    return box[0] > u1 or box[1] < u0 or box[2] > v1 or box[3] < v0


@compiled
def _choose(
    raster: Raster, layers: Layers, active: Active, row: int, row_end: int, column: int, column_end: int
) -> int:
    """Fill in the layers that the tile shows; returns how many."""
    u_a, u_b = raster.u_mm[column], raster.u_mm[column_end - 1]
    v_a, v_b = raster.v_mm[row], raster.v_mm[row_end - 1]
    reach = 0.5 * math.hypot(u_b - u_a, v_b - v_a) * STEEPEST + raster.coarse_step
    cu = (0.5 * (u_a + u_b) - raster.coarse_start[0]) / raster.coarse_step
    cv = (0.5 * (v_a + v_b) - raster.coarse_start[1]) / raster.coarse_step
    pixel = max(abs(raster.u_mm[1] - raster.u_mm[0]), abs(raster.v_mm[1] - raster.v_mm[0]), raster.thickness)
    n_active, n_chosen = 0, 0
    for layer in range(layers.fields.shape[0]):
        if n_active == MOST_LAYERS_PER_TILE:
            break
        margin = pixel + layers.style[layer, 2] + 3 * layers.style[layer, 3]
        if layers.fields[layer, 0] >= 0:
            value, _, _ = _field_edge(layers.fields, layers.terms, layer, raster.coarse, cu, cv, raster.coarse_step)
            if value > reach + margin:
                continue
            first = 0
            if value < -reach - margin:  # it hides what lies below
                n_active, n_chosen, first = 0, 0, EVERYWHERE
            active.layer[n_active], active.first[n_active], active.last[n_active] = layer, first, 0
            n_active += 1
            continue
        u0, u1 = min(u_a, u_b) - margin, max(u_a, u_b) + margin
        v0, v1 = min(v_a, v_b) - margin, max(v_a, v_b) + margin
        if layers.tube[layer, 0] == layers.tube[layer, 1] or _outside(layers.tube_box[layer], u0, u1, v0, v1):
            continue
        first = n_chosen
        for s in range(layers.tube[layer, 0], layers.tube[layer, 1]):
            if n_chosen < MOST_SEGMENTS_PER_TILE and not _outside(layers.segment_box[s], u0, u1, v0, v1):
                active.chosen[n_chosen] = s
                n_chosen += 1
        if n_chosen > first:
            active.layer[n_active], active.first[n_active], active.last[n_active] = layer, first, n_chosen
            n_active += 1
    return n_active


@compiled
def _point(frame: Real, u: float, v: float) -> tuple[float, float, float]:
    """The plane's point (u, v) in the knee's frame."""
    return (
        frame[0, 0] + u * frame[1, 0] + v * frame[2, 0],
        frame[0, 1] + u * frame[1, 1] + v * frame[2, 1],
        frame[0, 2] + u * frame[1, 2] + v * frame[2, 2],
    )


@compiled
def _cover(
    raster: Raster,
    layers: Layers,
    clouds: Float32,
    active: Active,
    n: int,
    row: int,
    column: int,
    remaining: Real,
    part: Real,
) -> None:
    """What the n-th active layer covers of what remains of a tile's pixels, into part (y, x)."""
    layer = active.layer[n]
    fields, terms, coarse, segments, chosen = layers.fields, layers.terms, raster.coarse, layers.segments, active.chosen
    u_mm, v_mm, frame = raster.u_mm, raster.v_mm, raster.frame
    soft, rough, grain = layers.style[layer, 2], layers.style[layer, 3], 4 / layers.style[layer, 4]
    first, last = active.first[n], active.last[n]
    if first == EVERYWHERE:
        part[:, :] = remaining
        return
    pixel_u, pixel_v = abs(raster.u_mm[1] - raster.u_mm[0]), abs(raster.v_mm[1] - raster.v_mm[0])
    least = max(0.15 * max(pixel_u, pixel_v), soft)
    edge = max(pixel_u, pixel_v, raster.thickness) + soft + 3 * rough
    step, start_u, start_v = raster.coarse_step, raster.coarse_start[0], raster.coarse_start[1]
    per_mm = 1 / step
    for y in range(part.shape[0]):
        for x in range(part.shape[1]):
            part[y, x] = 0.0
            if remaining[y, x] < LITTLE:
                continue
            u, v = u_mm[column + x], v_mm[row + y]
            radius = 0.0
            if last > first:
                d, du, dv, radius = _tube_edge(segments, chosen, first, last, u, v, edge)
            else:
                d, du, dv = _field_edge(
                    fields, terms, layer, coarse, (u - start_u) * per_mm, (v - start_v) * per_mm, step
                )
            if d >= edge:
                continue
            if d < -edge:
                part[y, x] = remaining[y, x]
                continue
            if rough > 0.0:
                px, py, pz = _point(frame, u, v)
                d += rough * texture_at(clouds, px * grain, py * grain, pz * grain + 7.7)
            through = max(1.0 - du * du - dv * dv, 0.0) * raster.thickness**2
            width = max(math.sqrt((du * pixel_u) ** 2 + (dv * pixel_v) ** 2 + through), least)
            if radius > 0.0:  # a blurred disc of radius r and edge w has the area π (r² + w²/12)
                d += radius - math.sqrt(max(radius**2 - width**2 / 12, 0.04 * radius**2))
            part[y, x] = remaining[y, x] * min(max(0.5 - d / width, 0.0), 1.0)


@compiled
def _add_tissues(
    material: Real, raster: Raster, looks: Looks, output: Output, row: int, column: int, part: Real
) -> None:
    """Add a layer's tissues to the tile at (row, column), of which it covers part (y, x)."""
    base, second = int(material[0]), int(material[1])
    for y in range(part.shape[0]):
        for x in range(part.shape[1]):
            if part[y, x] == 0.0:
                continue
            share = 0.0
            if second >= 0:
                px, py, pz = _point(raster.frame, raster.u_mm[column + x], raster.v_mm[row + y])
                share = _second_fraction(material, px, py, pz, looks.clouds, looks.walls)
                if output.weights[second] != 0.0:
                    output.fractions[second, row + y, column + x] += output.weights[second] * part[y, x] * share
            if output.weights[base] != 0.0:
                output.fractions[base, row + y, column + x] += output.weights[base] * part[y, x] * (1.0 - share)


@compiled
def _add_labels(label: int, output: Output, row: int, column: int, part: Real, heaviest: Real) -> None:
    for y in range(part.shape[0]):
        for x in range(part.shape[1]):
            if output.labels.size > 0 and part[y, x] > heaviest[y, x]:
                heaviest[y, x] = part[y, x]
                output.labels[row + y, column + x] = label
            if output.wanted.size > 0 and label == output.wanted_label:
                output.wanted[row + y, column + x] += part[y, x]


@compiled
def _paint_tile(
    raster: Raster,
    layers: Layers,
    looks: Looks,
    output: Output,
    active: Active,
    n_active: int,
    row: int,
    column: int,
    part: Real,
) -> None:
    """From the top layer down, until nothing shines through."""
    remaining = np.ones(part.shape)
    heaviest = np.zeros(part.shape)
    for n in range(n_active - 1, -1, -1):
        _cover(raster, layers, looks.clouds, active, n, row, column, remaining, part)
        remaining -= part
        style = layers.style[active.layer[n]]
        if output.weights.size > 0:
            _add_tissues(looks.materials[int(style[0])], raster, looks, output, row, column, part)
        else:
            _add_labels(int(style[1]), output, row, column, part, heaviest)
        if remaining.max() < LITTLE:
            return
    _add_labels(0, output, row, column, remaining, heaviest)


@compiled
def paint_rows(first_row: int, last_row: int, raster: Raster, layers: Layers, looks: Looks, output: Output) -> None:
    """Paint the rows from first_row to before last_row."""
    active = Active(
        np.empty(MOST_LAYERS_PER_TILE, np.int32),
        np.empty(MOST_LAYERS_PER_TILE, np.int32),
        np.empty(MOST_LAYERS_PER_TILE, np.int32),
        np.empty(MOST_SEGMENTS_PER_TILE, np.int32),
    )
    part = np.empty((raster.tile, raster.tile))
    n_columns = raster.u_mm.shape[0]
    for row in range(first_row, last_row, raster.tile):
        row_end = min(row + raster.tile, last_row)
        for column in range(0, n_columns, raster.tile):
            column_end = min(column + raster.tile, n_columns)
            n_active = _choose(raster, layers, active, row, row_end, column, column_end)
            if n_active > 0:
                tile = part[: row_end - row, : column_end - column]
                _paint_tile(raster, layers, looks, output, active, n_active, row, column, tile)
