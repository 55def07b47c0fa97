"""Tubes cut into straight segments, and those of them that lie near an image plane, in its coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.tubes import Tube

Real = NDArray[np.float64]
Integers = NDArray[np.int32]

# columns of a segment
START, ALONG, AXES, FIRST, SECOND = slice(0, 3), slice(3, 6), slice(6, 10), slice(10, 13), slice(13, 16)
LENGTH, BEND, N_COLUMNS = 16, 17, 18
VECTORS = (START, ALONG, FIRST, SECOND)

SHORTEST_MM = 1e-6
BEYOND_MM = 0.3  # of a plane's depth: it is thick
FURTHEST_BEND = 1.1  # of a strap's edge off its middle line, per mm of bend


def tube_segments(tube: Tube) -> Real:
    """Segments (segment, 18) of a tube in the knee's frame, columns as of `paint_arrays.Layers.segments`."""
    along = np.diff(tube.points, axis=0)
    length = np.linalg.norm(along, axis=1)
    direction = along / np.maximum(length, 1e-9)[:, None]
    first = tube.wide[:-1] - (tube.wide[:-1] * direction).sum(1, keepdims=True) * direction
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    rows = np.empty((len(along), N_COLUMNS))
    rows[:, START], rows[:, ALONG], rows[:, FIRST] = tube.points[:-1], along, first
    rows[:, SECOND] = np.cross(direction, first)
    rows[:, AXES] = np.concatenate([tube.half_axes[:-1], tube.half_axes[1:]], axis=1)
    rows[:, LENGTH], rows[:, BEND] = length, tube.bend_mm
    return rows


def near_plane(segments: Real, ranges: Integers, centre: Real, axes: Real) -> tuple[Real, Integers, Real]:
    """Those segments that reach a plane.

    Args:
        segments: (segment, 18) in the knee's frame.
        ranges: (layer, 2) first segment of each layer and past the last, in order.
        centre: (3) of the plane.
        axes: (3, 3) columns are the unit vectors u, v and the normal w.

    Returns:
        Segments (near, 18) in the plane's coordinates; their ranges (layer, 2); their boxes (near, 4): least u, greatest u,
        least v, greatest v.
    """
    turned = segments.copy()
    turned[:, START] -= centre
    for vector in VECTORS:
        turned[:, vector] = turned[:, vector] @ axes
    low, high = _bounds(turned)
    near = (low[:, 2] < BEYOND_MM) & (high[:, 2] > -BEYOND_MM) & (segments[:, LENGTH] > SHORTEST_MM)
    n_before = np.append(0, np.cumsum(near)).astype(np.int32)
    boxes = np.stack([low[near, 0], high[near, 0], low[near, 1], high[near, 1]], axis=-1)
    return turned[near], n_before[ranges], boxes


def boxes_around(boxes: Real, ranges: Integers) -> Real:
    """The box (layer, 4) around the segments of each layer; zeros where it has none."""
    around = np.zeros((len(ranges), 4))
    for layer in np.flatnonzero(ranges[:, 1] > ranges[:, 0]):
        of_layer = boxes[slice(*ranges[layer])]
        around[layer, ::2] = of_layer[:, ::2].min(axis=0)
        around[layer, 1::2] = of_layer[:, 1::2].max(axis=0)
    return around


def _bounds(segments: Real) -> tuple[Real, Real]:
    """Lowest and highest corner (segment, 3) of what a segment fills, its rounded ends included."""
    wide, thin = segments[:, [6, 8]].max(axis=1), segments[:, [7, 9]].max(axis=1)
    over = np.minimum(wide, thin) / np.maximum(segments[:, LENGTH], SHORTEST_MM)
    bent = thin + FURTHEST_BEND * np.abs(segments[:, BEND])
    reach = (
        wide[:, None] * np.abs(segments[:, FIRST])
        + bent[:, None] * np.abs(segments[:, SECOND])
        + over[:, None] * np.abs(segments[:, ALONG])
    )
    start, end = segments[:, START], segments[:, START] + segments[:, ALONG]
    return np.minimum(start, end) - reach, np.maximum(start, end) + reach
