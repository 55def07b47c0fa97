"""Build a digital knee from a seed: the page on which its structures are made and painted in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee import cartilage, ligaments, nerves, vessels
from knerve.datasets.knee import materials as m
from knerve.datasets.knee.courses import NerveCourse
from knerve.datasets.knee.envelope import deep_fascia, skin
from knerve.datasets.knee.femur import GRID as FEMUR_GRID
from knerve.datasets.knee.femur import femur
from knerve.datasets.knee.fields import Field, inside_out
from knerve.datasets.knee.joint_painting import paint_joint
from knerve.datasets.knee.knee import Knee, Side, to_knee
from knerve.datasets.knee.landmarks import landmarks, target_index
from knerve.datasets.knee.layers import Layer, Painting, Term
from knerve.datasets.knee.metal import SUSCEPTIBILITY, Shaft
from knerve.datasets.knee.muscles import Muscle, muscles
from knerve.datasets.knee.noise import clouds_on, textures
from knerve.datasets.knee.render import pack
from knerve.datasets.knee.scene_painting import Place, Rod, paint_depots, paint_devices
from knerve.datasets.knee.scenes import Scene
from knerve.datasets.knee.tibia import FIBULA_GRID, PATELLA_GRID, TIBIA_GRID, fibula, patella, tibia
from knerve.datasets.knee.tubes import arc_length_mm
from knerve.datasets.scan_plane import Vector

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]

FROM_AXIS_MM = 92.0  # of the magnet to the knee's middle
BEHIND_AXIS_MM = 12.5
EMPTY = Scene(())


def digital_knee(
    seed: int = 0,
    side: Side = "right",
    size: float | None = 1.0,
    nerve_diameter_mm: float | None = None,
    scene: Scene | None = None,
) -> Knee:
    """A knee; the same arguments make the same knee.

    Args:
        seed: of everything that varies between people.
        side: "right" or "left".
        size: 1 for a mean man's knee, 0.9 to 1.1; None draws it.
        nerve_diameter_mm: of all four genicular nerves, 0.4 to 2.0; None draws each between 0.8 and 1.2.
        scene: what a procedure has brought in.

    Raises:
        ValueError: the size or the diameter lies outside its range, or the scene's nerve is unknown.
    """
    if size is not None:
        _check("size", size, 0.9, 1.1)
    if nerve_diameter_mm is not None:
        _check("nerve_diameter_mm", nerve_diameter_mm, 0.4, 2.0)
    anatomy = _anatomy(seed, size, nerve_diameter_mm)
    clouds = textures(seed).clouds
    mirror = to_knee(side)
    position: Vector = (-FROM_AXIS_MM * float(mirror[0]), BEHIND_AXIS_MM, 0.0)
    scene = scene or EMPTY
    point = mirror * (np.asarray(scene.point_mm or position) - np.asarray(position))
    place = _place(scene, anatomy.bundles, anatomy.trunks, point)

    painting = Painting(list(anatomy.beneath))
    paint_depots(painting, scene, place, anatomy.firm, anatomy.soft, clouds)
    nerves.paint_genicular(painting, anatomy.bundles)
    rods = paint_devices(painting, scene, place, list(anatomy.bones.values()), clouds)

    structures = ("air", *dict.fromkeys(layer.structure for layer in painting.layers))
    courses = [*(bundle.nerve for bundle in anatomy.bundles), *anatomy.trunks]
    points = landmarks(anatomy.bones, anatomy.bundles, anatomy.scale)
    return Knee(
        side=side,
        size=anatomy.scale,
        position_mm=position,
        nerves=tuple(_course(nerve, position, mirror) for nerve in courses),
        landmarks={name: _vector(np.asarray(position) + mirror * point) for name, point in points.items()},
        structures=structures,
        shafts=tuple(_shaft(rod, position, mirror) for rod in rods),
        _packed=pack(painting.layers, m.TISSUES, structures, textures(seed)),
    )


@dataclass(frozen=True)
class _Anatomy:
    """A knee before any scene, in its own frame: what is painted beneath the genicular nerves, and what scenes need to know."""

    scale: float
    beneath: tuple[Layer, ...]
    bones: Mapping[str, Field]
    firm: tuple[Field, ...]
    soft: tuple[Field, ...]
    bundles: tuple[nerves.Bundle, ...]
    trunks: tuple[nerves.Nerve, ...]


@lru_cache(maxsize=2)
def _anatomy(seed: int, size: float | None, nerve_diameter_mm: float | None) -> _Anatomy:
    """Kept, so that the same knee with another scene costs little."""
    random = np.random.default_rng([seed, 12])
    drawn = float(np.clip(random.normal(1.0, 0.04), 0.92, 1.08))
    scale = drawn if size is None else size
    diameters = {name: random.uniform(0.8, 1.2) for name in nerves.GENICULAR}
    if nerve_diameter_mm is not None:
        diameters = dict.fromkeys(diameters, nerve_diameter_mm)
    clouds = textures(seed).clouds
    painting = Painting()

    body = skin(scale, clouds)
    fascia = deep_fascia(body, scale * random.uniform(0.9, 1.15), clouds)
    bones = _bones(scale, clouds)
    covers = {
        "femur": cartilage.femoral(bones["femur"], scale),
        "tibia": cartilage.tibial(bones["tibia"], scale),
        "patella": cartilage.patellar(bones["patella"], scale),
    }
    bellies = muscles(scale, clouds)
    bundles = nerves.genicular(bones, diameters, scale, random)

    _paint_envelope(painting, body, fascia)
    vessels.paint_small(painting, scale, body, fascia, random)
    _paint_muscles(painting, bellies, fascia)
    paint_joint(painting, bones, covers, scale, random.uniform(-0.3, 0.9), clouds)
    for name, shape in ligaments.tendons(scale, fascia, (bones["femur"], bones["tibia"])).items():
        material = m.RETINACULUM if "retinaculum" in name else m.TENDON
        painting.tube(name, material, shape, soft_mm=0.3, rough_mm=0.18)
    vessels.paint_large(painting, scale, body, random)
    trunks = nerves.paint_trunks(painting, body, scale, random)
    for name, shape in ligaments.collaterals(scale, bones["femur"], bones["tibia"]).items():
        painting.tube(name, m.TENDON, shape, soft_mm=0.2, rough_mm=0.15)
    nerves.paint_beds(painting, bundles)
    return _Anatomy(
        scale=scale,
        beneath=tuple(painting.layers),
        bones=bones,
        firm=(*covers.values(), *bones.values()),
        soft=(*(belly.shape for belly in bellies), inside_out(fascia)),
        bundles=tuple(bundles),
        trunks=tuple(trunks),
    )


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value:g}; choose {low:g} to {high:g}.")


def _bones(scale: float, clouds: Float32) -> dict[str, Field]:
    return {
        "femur": femur(scale, clouds_on(FEMUR_GRID, clouds, 7.0, 20.0)),
        "tibia": tibia(scale, clouds_on(TIBIA_GRID, clouds, 7.0, 21.0)),
        "fibula": fibula(scale, clouds_on(FIBULA_GRID, clouds, 6.0, 22.0)),
        "patella": patella(scale, clouds_on(PATELLA_GRID, clouds, 6.0, 23.0)),
    }


def _paint_envelope(painting: Painting, body: Field, fascia: Field) -> None:
    """Skin, subcutaneous fat, deep fascia and the fat inside it."""
    painting.solid("skin", m.SKIN, Term(body))
    painting.solid("subcutaneous fat", m.SUBCUTANEOUS, Term(body, 1.4), rough_mm=0.12, rough_grain_mm=1.5)
    painting.solid("deep fascia", m.FASCIA, Term(fascia), rough_mm=0.1)
    painting.solid("deep fat", m.DEEP_FAT, Term(fascia, 0.5), rough_mm=0.15)


def _paint_muscles(painting: Painting, bellies: Sequence[Muscle], fascia: Field) -> None:
    """Muscles, each in a thin sheath."""
    for belly in bellies:
        material = m.muscle(belly.fibres)
        painting.solid(belly.name, m.FASCIA, Term(belly.shape), Term(fascia, 0.7))
        bounds = (Term(belly.shape, 0.2), Term(fascia, 0.9))
        painting.solid(belly.name, material, *bounds, rough_mm=0.25, rough_grain_mm=2.5)


def _place(scene: Scene, bundles: Sequence[nerves.Bundle], trunks: Sequence[nerves.Nerve], point: Real) -> Place:
    """Where the scene stands; point (3) is used where it names no nerve."""
    radial = np.array([point[0], point[1], 0.0])
    if scene.nerve is None:
        return Place(point, np.array([0.0, 0.0, 1.0]), _unit(radial if radial.any() else np.array([1.0, 0.0, 0.0])))
    known = {nerve.name: nerve for nerve in (*(bundle.nerve for bundle in bundles), *trunks)}
    if scene.nerve not in known:
        raise ValueError(f"The knee has no nerve {scene.nerve!r}; choose one of {', '.join(known)}.")
    course = known[scene.nerve].course
    index = round((0.5 if scene.along is None else scene.along) * (len(course) - 1))
    outwards = _unit(course[index] * np.array([1.0, 1.0, 0.0]))
    for bundle in bundles:
        if bundle.nerve.name == scene.nerve:
            index = target_index(bundle) if scene.along is None else index
            outwards = bundle.outwards[index]
    along = np.gradient(course, axis=0)[index]
    return Place(course[index], _unit(along - (along @ outwards) * outwards), outwards)


def _course(nerve: nerves.Nerve, position: Vector, mirror: Real) -> NerveCourse:
    points = np.asarray(position) + mirror * nerve.course
    return NerveCourse(nerve.name, nerve.diameter_mm, points, arc_length_mm(nerve.course))


def _shaft(rod: Rod, position: Vector, mirror: Real) -> Shaft:
    tip = np.asarray(position) + mirror * rod.tip
    return Shaft(tip, mirror * rod.direction, rod.radius_mm, SUSCEPTIBILITY[rod.metal])


def _unit(vector: Real) -> Real:
    return np.asarray(vector / np.linalg.norm(vector))


def _vector(values: Real) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])
