"""The arrays that the painting loops work on: where pixels are, which shapes there are, how they look, what comes out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]
Integers = NDArray[np.int32]


class Raster(NamedTuple):
    """Where the pixels are.

    Attributes:
        u_mm: pixel centres.
        v_mm: pixel centres.
        frame: (3, 3) rows are the plane's centre and its u and v directions, in the knee's frame.
        thickness: of the plane, mm.
        tile: side of a tile in pixels.
        coarse: (field, v, u) distances on a raster of coarse_step mm from coarse_start.
        coarse_start: (2) u and v, mm.
        coarse_step: mm.
    """

    u_mm: Real
    v_mm: Real
    frame: Real
    thickness: float
    tile: int
    coarse: Float32
    coarse_start: Real
    coarse_step: float


class Layers(NamedTuple):
    """Shapes, bottom first.

    Attributes:
        fields: (layer, term), -1 where there is none.
        terms: (layer, term, 2) sign and offset of each field.
        style: (layer, 5) material, label, softness mm, roughness mm, its grain mm.
        tube: (layer, 2) first segment and past the last; equal for layers of fields.
        tube_box: (layer, 4) least u, greatest u, least v, greatest v of a tube.
        segments: (segment, 18) in plane coordinates u, v, w: start 3, along 3, half axes at the start 2 and at the end 2,
            directions of the half axes 6, length, bend.
        segment_box: (segment, 4) as for tubes.
    """

    fields: Integers
    terms: Real
    style: Real
    tube: Integers
    tube_box: Real
    segments: Real
    segment_box: Real


class Looks(NamedTuple):
    """Materials (material, 13), see `layers.Material`, and the periodic textures they read."""

    materials: Real
    clouds: Float32
    walls: Float32


class Output(NamedTuple):
    """What is painted; empty arrays are left alone.

    Attributes:
        weights: (tissue) of this plane.
        fractions: (tissue, y, x).
        labels: (y, x).
        wanted_label: whose coverage is wanted.
        wanted: (y, x).
    """

    weights: Real
    fractions: Float32
    labels: Integers
    wanted_label: int
    wanted: Float32


class Active(NamedTuple):
    """Layers at work in a tile; room for the most that can be.

    Attributes:
        layer: index.
        first: of a tube's segments, in `chosen`; EVERYWHERE where a layer covers the whole tile.
        last: past the last of them; 0 for layers of fields.
        chosen: segments.
    """

    layer: Integers
    first: Integers
    last: Integers
    chosen: Integers
