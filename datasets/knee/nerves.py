"""The nerves of the knee: genicular nerves on the bones beside their vessels, the large ones as fascicles in fat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee import materials as m
from knerve.datasets.knee.fields import Field
from knerve.datasets.knee.knee import nerve_label
from knerve.datasets.knee.layers import Painting
from knerve.datasets.knee.surfaces import keep_off, lay_on
from knerve.datasets.knee.tubes import arc_length_mm, smooth_course, tube, wavy
from knerve.datasets.knee.vessels import paint_vessel

Real = NDArray[np.float64]
Knots = Sequence[Sequence[float]]

GENICULAR: Mapping[str, tuple[str, Knots]] = {
    "superior-medial": (
        "femur",
        [[6, -15, 36], [17, -14, 31], [27, -10, 26.5], [34, 1, 21], [32, 13, 16], [26, 24, 12], [22, 33, 8]],
    ),
    "superior-lateral": (
        "femur",
        [[-6, -14, 38], [-17, -12, 32], [-27, -8, 27], [-33, 3, 22], [-30, 15, 18], [-24, 26, 14], [-22, 35, 10]],
    ),
    "inferior-medial": (
        "tibia",
        [[2, -29, -33], [14, -29, -41], [25, -24, -46.5], [31, -11, -48], [31, 2, -46.5], [25, 13, -44], [16, 21, -41]],
    ),
    "inferior-lateral": (
        "tibia",
        [
            [-27, -37, -16],
            [-33, -30, -23],
            [-39, -17, -29],
            [-40, -5, -29.5],
            [-37, 8, -29.5],
            [-29, 18, -30.5],
            [-17, 26, -33],
        ],
    ),
}
SAPHENOUS: Knots = [
    [39, -30, 95],
    [40, -31, 60],
    [41.5, -33.5, 30],
    [41, -34, 5],
    [41, -33.5, -15],
    [42.5, -33, -32],
    [44, -29, -55],
    [43, -20, -95],
]
INFRAPATELLAR: Knots = [[41.2, -34, 0], [45, -24, -8], [48, -6, -16], [45, 14, -24], [32, 32, -30], [14, 42, -33]]
TIBIAL: Knots = [
    [-5, -34, 95],
    [-2, -38, 60],
    [-0.5, -42.5, 30],
    [-0.5, -46.5, 0],
    [1.5, -48.5, -20],
    [3.5, -47.5, -40],
    [2, -43, -60],
    [-1, -33, -95],
]
PERONEAL: Knots = [
    [-5.5, -36, 95],
    [-8, -39.5, 70],
    [-12.5, -43, 45],
    [-21.5, -46, 20],
    [-28.5, -43, 0],
    [-33, -38.5, -16],
    [-38, -33, -31],
    [-42.5, -27, -43],
    [-45, -18.5, -52],
    [-43, -10, -59],
    [-37.5, -6, -66],
    [-34, -4, -74],
]


@dataclass(frozen=True)
class Nerve:
    """One nerve in the knee's frame: name, diameter in mm, centre line (point, 3) in mm."""

    name: str
    diameter_mm: float
    course: Real


@dataclass(frozen=True)
class Bundle:
    """A genicular nerve with its artery and vein, centre lines (point, 3) in mm, and the way out from the bone (point, 3)."""

    nerve: Nerve
    artery: Real
    vein: Real
    outwards: Real


def genicular(
    bones: Mapping[str, Field], diameters_mm: Mapping[str, float], scale: float, random: np.random.Generator
) -> list[Bundle]:
    """The four genicular nerves, each between an artery and a vein, a mm or two off the bone."""
    up = np.array([0.0, 0.0, 1.0])
    bundles = []
    for name, (bone, knots) in GENICULAR.items():
        radius = diameters_mm[name] / 2
        path = wavy(smooth_course(knots, 1.0) * scale, random, 0.5, 14.0)
        path = keep_off(path, bones["femur"], 1.0 + radius)
        from_trunk = np.clip(arc_length_mm(path) / 14 - 0.5, 0, 1)
        height = 0.9 + radius + 0.5 * (1 + np.sin(arc_length_mm(path) / 9 + random.uniform(0, 6)))
        course = lay_on(path, bones[bone], height, from_trunk)
        artery = lay_on(course + (radius + 1.35) * up, bones[bone], height + 0.5, from_trunk)
        vein = lay_on(course - (radius + 1.1) * up, bones[bone], height + 0.35, from_trunk)
        bundles.append(Bundle(Nerve(name, diameters_mm[name], course), artery, vein, bones[bone].slope(course)))
    return bundles


def paint_beds(painting: Painting, bundles: Sequence[Bundle]) -> None:
    """The fat in which each bundle lies."""
    for bundle in bundles:
        radius = bundle.nerve.diameter_mm / 2
        bed = tube(bundle.nerve.course, (2.6 + radius, 1.2 + radius), (0, 0, 1))
        painting.tube("deep fat", m.DEEP_FAT, bed, soft_mm=0.4)


def paint_genicular(painting: Painting, bundles: Sequence[Bundle]) -> None:
    """Artery, vein and nerve of each bundle; the nerve is thinner by a fifth at its end."""
    for bundle in bundles:
        paint_vessel(painting, "genicular artery", m.ARTERY, bundle.artery, (0.55, 0.5), 0.22)
        paint_vessel(painting, "genicular vein", m.VEIN, bundle.vein, (0.5, 0.4), 0.12)
        course, radius = bundle.nerve.course, bundle.nerve.diameter_mm / 2
        taper = radius * np.interp(np.linspace(0, 1, len(course)), [0.7, 1.0], [1.0, 0.8])
        painting.tube(nerve_label(bundle.nerve.name), m.NERVE, tube(course, np.stack([taper, taper], -1)))


def paint_trunks(painting: Painting, body: Field, scale: float, random: np.random.Generator) -> list[Nerve]:
    """Tibial, common peroneal and saphenous nerve, and the saphenous nerve's infrapatellar branch."""
    tibial = wavy(smooth_course(TIBIAL) * scale, random, 0.6)
    peroneal = wavy(smooth_course(PERONEAL) * scale, random, 0.4)
    saphenous = wavy(smooth_course(SAPHENOUS) * scale, random, 0.4)
    branch = smooth_course(INFRAPATELLAR) * scale
    branch = lay_on(branch, body, -6.5 * scale, np.clip(arc_length_mm(branch) / 25 - 0.6, 0, 1))
    _fascicles(painting, "tibial", tibial, (2.8 * scale, 2.3 * scale), 15, (1, 0.3, 0), random)
    flat = np.array([-0.6, 0.8, 0])
    _fascicles(painting, "common peroneal", peroneal, (2.3 * scale, 1.45 * scale), 8, flat, random)
    _fascicles(painting, "saphenous", saphenous, (1.0, 0.8), 3, (0, 1, 0), random)
    painting.tube("infrapatellar branch", m.NERVE, tube(branch, (0.55, 0.5)))
    return [
        Nerve("tibial", 5.1 * scale, tibial),
        Nerve("common peroneal", 3.6 * scale, peroneal),
        Nerve("saphenous", 1.8, saphenous),
    ]


def _fascicles(
    painting: Painting,
    name: str,
    course: Real,
    half_axes: tuple[float, float],
    count: int,
    towards: Sequence[float] | Real,
    random: np.random.Generator,
) -> None:
    """Fat around the nerve, its thin sheath, the fat between the fascicles, and the fascicles, which wander along it."""
    a, b = half_axes
    painting.tube("deep fat", m.DEEP_FAT, tube(course, (a + 0.9, b + 0.8), towards), soft_mm=0.6)
    label = nerve_label(name)
    outer = tube(course, half_axes, towards)
    painting.tube(label, m.SHEATH, outer)
    painting.tube(label, m.EPINEURIUM, tube(course, (a - 0.1, b - 0.1), towards))
    second = np.cross(np.gradient(course, axis=0), outer.wide)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    golden, length = np.pi * (3 - np.sqrt(5)), arc_length_mm(course)
    radius = 0.86 * np.sqrt(a * b / count)
    for i in range(count):
        size = radius * random.uniform(0.72, 1.08)
        reach = np.sqrt((i + 0.5) / count) + random.normal(0, 0.03)
        angle = i * golden + 0.5 * np.sin(length / 35 + i) + random.normal(0, 0.08)
        u = (a - 0.2 - size) * reach * np.cos(angle) * 1.02
        v = (b - 0.2 - size) * reach * np.sin(angle) * 1.02
        line = course + u[:, None] * outer.wide + v[:, None] * second
        painting.tube(label, m.NERVE, tube(line, (size, size * random.uniform(0.8, 1.0))))
