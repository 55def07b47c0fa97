"""Put a scene's objects into the painting: where they lie, what they displace, and which metal bends the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee import materials as m
from knerve.datasets.knee.fields import Field, Grid
from knerve.datasets.knee.layers import Painting, Term
from knerve.datasets.knee.noise import clouds_on
from knerve.datasets.knee.scenes import Cryoprobe, Depot, Lesion, Needle, Scene
from knerve.datasets.knee.tubes import tube
from knerve.datasets.scan_plane import Vector

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]

RADIUS_MM: Mapping[int, float] = {18: 0.635, 22: 0.36}
PROBE_RADIUS_MM = 0.65
PROBE_LENGTH_MM = 90.0
PUSHED_ASIDE_MM = 1.6  # by which a depot dents a muscle


@dataclass(frozen=True)
class Place:
    """Where a scene stands, in the knee's frame: point (3) mm and unit vectors along the nerve and away from the bone."""

    point: Real
    along: Real
    outwards: Real


@dataclass(frozen=True)
class Rod:
    """A metal shaft in the knee's frame: tip (3) mm, unit direction (3) to its hub, radius in mm, metal."""

    tip: Real
    direction: Real
    radius_mm: float
    metal: str


def paint_depots(
    painting: Painting, scene: Scene, place: Place, bones: Sequence[Field], soft: Sequence[Field], clouds: Float32
) -> None:
    """Injected fluid, kept out of the bones and, but for what it pushes aside, out of soft neighbours."""
    for item in scene.objects:
        if isinstance(item, Depot):
            shape = _depot(item, place, bones, soft, clouds)
            material = m.ETHANOL if item.substance == "ethanol" else m.FLUID
            painting.solid(f"depot: {item.substance}", material, Term(shape), soft_mm=0.5, rough_mm=0.3)


def paint_devices(painting: Painting, scene: Scene, place: Place, bones: Sequence[Field], clouds: Float32) -> list[Rod]:
    """Ice, lesions and metal, over everything else; the metal is returned."""
    rods: list[Rod] = []
    for item in scene.objects:
        if isinstance(item, Depot):
            continue
        middle = place.point + np.asarray(item.offset_mm)
        axis = _unit(place.outwards if item.direction is None else np.asarray(item.direction, float))
        if isinstance(item, Needle):
            rods.append(_rod(painting, "needle", middle, axis, RADIUS_MM[item.gauge], item.metal, item.length_mm))
        elif isinstance(item, Cryoprobe):
            ice = _ellipsoid(middle, axis, item.ice_length_mm / 2, item.ice_width_mm / 2, clouds, 0.3)
            painting.solid("oedema", m.OEDEMA, Term(ice, -item.rim_mm), soft_mm=0.8)
            painting.solid("ice ball", m.VOID, Term(ice), soft_mm=0.3)
            tip = middle - 0.35 * item.ice_length_mm * axis
            rods.append(_rod(painting, "cryoprobe", tip, axis, PROBE_RADIUS_MM, item.metal, PROBE_LENGTH_MM))
        else:
            _lesion(painting, item, middle, axis, bones, clouds)
    return rods


def _lesion(
    painting: Painting, item: Lesion, middle: Real, axis: Real, bones: Sequence[Field], clouds: Float32
) -> None:
    core = _ellipsoid(middle, axis, item.length_mm / 2, item.width_mm / 2, clouds, 0.5)
    outside = [Term(bone, 0.0, -1.0) for bone in bones if bone.at(middle[None])[0] < 15][:2]
    painting.solid("lesion rim", m.OEDEMA, Term(core, -item.rim_mm), *outside, soft_mm=1.0, rough_mm=0.3)
    painting.solid("lesion core", m.LESION_CORE, Term(core), *outside, soft_mm=0.8, rough_mm=0.2)


def _rod(painting: Painting, name: str, tip: Real, axis: Real, radius_mm: float, metal: str, length_mm: float) -> Rod:
    points = tip + np.linspace(0, length_mm, 10)[:, None] * axis
    painting.tube(name, m.VOID, tube(points, (radius_mm, radius_mm)))
    return Rod(tip, axis, radius_mm, metal)


def _around(middle: Real, reach_mm: float, spacing_mm: float) -> Grid:
    low, high = np.floor(middle - reach_mm), np.ceil(middle + reach_mm)
    return Grid(_vector(low), _vector(high), (spacing_mm,) * 3)


def _ellipsoid(
    middle: Real, axis: Real, half_length: float, half_width: float, clouds: Float32, uneven_mm: float
) -> Field:
    """A drop about an axis, a little wider at its far end."""
    grid = _around(middle, half_length + 6, 0.75)
    x, y, z = grid.mesh()
    along = (x - middle[0]) * axis[0] + (y - middle[1]) * axis[1] + (z - middle[2]) * axis[2]
    square = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (z - middle[2]) ** 2
    across = np.sqrt(np.maximum(square - along**2, 0)) * (1 + 0.12 * along / half_length)
    k = np.sqrt((along / half_length) ** 2 + (across / half_width) ** 2)
    slope = np.sqrt((along / half_length**2) ** 2 + (across / half_width**2) ** 2)
    distance = (k - 1) * k / np.maximum(slope, 1e-3)
    distance = np.maximum(distance, -half_width)
    return Field(grid, (distance + uneven_mm * clouds_on(grid, clouds, 5.0, 51.0)).astype(np.float32))


def _depot(item: Depot, place: Place, bones: Sequence[Field], soft: Sequence[Field], clouds: Float32) -> Field:
    middle = place.point + np.asarray(item.offset_mm)
    radius = (3000 * item.volume_ml / (4 * np.pi)) ** (1 / 3)
    grid = _around(middle, 2.4 * radius + 5, 1.0)
    x, y, z = (axis - np.float32(c) for axis, c in zip(grid.mesh(), middle, strict=True))
    second = np.cross(place.along, place.outwards)
    u, v, w = (x * e[0] + y * e[1] + z * e[2] for e in (place.along, second, place.outwards))
    flat = np.sqrt((u / 1.45) ** 2 + (v / 1.3) ** 2 + (w / 0.6) ** 2)
    uneven = 1.8 * clouds_on(grid, clouds, 7.0, 61.0) + 0.7 * clouds_on(grid, clouds, 3.0, 62.0)
    walls = [-bone.onto(grid) + 0.3 for bone in bones]
    pushed = [-0.8 * neighbour.onto(grid) - PUSHED_ASIDE_MM for neighbour in soft]
    kept_out = np.max(walls + pushed, axis=0)
    low, high = -radius, 3 * radius
    for _ in range(24):  # the reach at which the free space around the place holds the volume
        reach = 0.5 * (low + high)
        volume_ml = 1e-3 * np.count_nonzero(np.maximum(flat + uneven - reach, kept_out) < 0)
        low, high = (reach, high) if volume_ml < item.volume_ml else (low, reach)
    return Field(grid, np.maximum(flat + uneven - np.float32(reach), kept_out).astype(np.float32))


def _unit(vector: Real) -> Real:
    return np.asarray(vector / np.linalg.norm(vector))


def _vector(values: Real) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])
