"""Vessels: the popliteal artery and vein, the saphenous veins, the genicular companions and small ones without a name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee import materials as m
from knerve.datasets.knee.fields import Field
from knerve.datasets.knee.layers import Material, Painting
from knerve.datasets.knee.surfaces import keep_in, lay_on
from knerve.datasets.knee.tubes import smooth_course, tube, wavy

Real = NDArray[np.float64]
Knots = Sequence[Sequence[float]]

ARTERY: Knots = [
    [15, -13, 95],
    [8, -17, 60],
    [3, -19, 35],
    [2, -25, 10],
    [1, -32.5, -5],
    [1, -35, -25],
    [-1, -38.5, -45],
    [-2, -38, -65],
    [-4, -28, -95],
]
VEIN: Knots = [
    [12, -20.5, 95],
    [4.5, -24.5, 60],
    [-0.5, -26.5, 35],
    [-2.5, -32.5, 10],
    [-3, -40, -5],
    [-2, -42.5, -25],
    [2, -44.5, -45],
    [3, -42, -65],
    [1, -30, -95],
]
GREAT_SAPHENOUS: Knots = [
    [56, -24, 95],
    [54, -30, 60],
    [50, -36, 20],
    [48, -38, 0],
    [47, -36, -25],
    [47, -26, -55],
    [44, -16, -95],
]
SMALL_SAPHENOUS: Knots = [[-2, -57, -95], [-3, -57, -50], [-3, -54, -20], [-4, -49, -5], [-4, -43, 6]]
SURAL: tuple[Knots, ...] = (
    [[1, -32, -3], [6, -38, -14], [12, -42, -28], [18, -44, -48], [21, -45, -80]],
    [[0, -32, -4], [-8, -37, -15], [-15, -41, -30], [-22, -44, -55], [-24, -45, -85]],
    [[2, -29, 4], [1, -24, 2], [0, -16, 0], [0, -8, -3]],  # middle genicular: pierces the posterior capsule
)
SPREAD = ((-18, 20), (-50, -20), (-60, 80))  # of the small vessels of the popliteal fat: x, y, z


def paint_large(painting: Painting, scale: float, body: Field, random: np.random.Generator) -> None:
    """Popliteal and saphenous vessels."""
    artery = wavy(smooth_course(ARTERY) * scale, random, 0.7)
    vein = wavy(smooth_course(VEIN) * scale, random, 0.8)
    for course, radius in ((artery, 4.6), (vein, 5.2)):
        painting.tube("deep fat", m.DEEP_FAT, tube(course, (radius + 0.6, radius)), soft_mm=0.6)
    paint_vessel(painting, "popliteal vein", m.VEIN, vein, (4.1 * scale, 3.2 * scale), 0.45)
    paint_vessel(painting, "popliteal artery", m.ARTERY, artery, (3.0 * scale, 2.9 * scale), 0.75)
    saphenous = lay_on(wavy(smooth_course(GREAT_SAPHENOUS) * scale, random, 0.8), body, -6.5 * scale)
    paint_vessel(painting, "great saphenous vein", m.VEIN, saphenous, (2.0, 1.5), 0.4)
    small = wavy(smooth_course(SMALL_SAPHENOUS) * scale, random, 0.6)
    paint_vessel(painting, "small saphenous vein", m.VEIN, small, (1.4, 1.1), 0.35)
    for knots in SURAL:
        course = wavy(smooth_course(knots) * scale, random, 0.8)
        paint_vessel(painting, "small artery", m.ARTERY, course, (0.8, 0.7), 0.3)
        beside = course + np.array([1.9, -0.6, 0.3])
        paint_vessel(painting, "small vein", m.VEIN, beside, (0.9, 0.7), 0.2)


def paint_vessel(
    painting: Painting, name: str, blood: Material, course: Real, half_axes: tuple[float, float], wall_mm: float
) -> None:
    """Wall, then blood."""
    outer = (half_axes[0] + wall_mm, half_axes[1] + wall_mm)
    painting.tube(name, m.VESSEL_WALL, tube(course, outer))
    painting.tube(name, blood, tube(course, half_axes))


def paint_small(painting: Painting, scale: float, body: Field, fascia: Field, random: np.random.Generator) -> None:
    """Veins of the subcutaneous fat and small vessels of the popliteal fat, scattered."""
    for _ in range(22):
        angle, z, length = random.uniform(0, 2 * np.pi), random.uniform(-80, 80), random.uniform(25, 70)
        t = np.linspace(0, 1, 8)
        turn = angle + random.normal(0, 0.25) * t
        reach = 55.0
        knots = np.stack([reach * np.sin(turn), reach * np.cos(turn) - 2, z + length * t], -1) * scale
        depth = random.uniform(-7, -3.5)
        course = keep_in(lay_on(wavy(smooth_course(knots), random, 1.0), body, depth), body, 3.0)
        radius = random.uniform(0.35, 0.85)
        paint_vessel(painting, "small vein", m.VEIN, course, (radius * 1.2, radius), 0.15)
    for _ in range(16):
        start = np.array([random.uniform(*spread) for spread in SPREAD])
        knots = start + np.cumsum(random.normal(0, 1, (5, 3)) * [4, 4, 3] + [0, 0, 8], axis=0)
        course = wavy(smooth_course(knots), random, 0.8) * scale
        if fascia.at(course).max() < -2.0:
            radius = random.uniform(0.3, 0.7)
            blood = m.VEIN if random.random() < 0.6 else m.ARTERY
            paint_vessel(
                painting, "small vein" if blood is m.VEIN else "small artery", blood, course, (radius, radius), 0.2
            )
