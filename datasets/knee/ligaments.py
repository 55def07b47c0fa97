"""Ligaments and tendons, as tubes: round cords and flat straps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field
from knerve.datasets.knee.surfaces import keep_in, keep_off, lay_on
from knerve.datasets.knee.tubes import Tube, smooth_course, tube

Real = NDArray[np.float64]
Knots = Sequence[Sequence[float]]

ACL: Knots = [[-8.5, -14, 6], [-5.5, -8, -6], [-2, 0, -18], [1, 7, -27], [2, 11, -33]]
PCL: Knots = [[9.5, 6, -8], [5.5, 0, -9], [2.5, -10, -13], [1, -18, -22], [0, -22, -32], [0, -23.5, -41]]
MCL: Knots = [
    [41, -2, 6],
    [41, -1, -8],
    [40, -1, -18],
    [39, 0, -26],
    [38, 0, -33],
    [35, 1, -42],
    [30, 2, -56],
    [24, 3, -76],
]
LCL: Knots = [[-39, -3, 5], [-41, -7, -12], [-40.5, -13, -30], [-37.5, -18, -46]]
PATELLAR_TENDON: Knots = [[-2, 51, -9], [-2, 48.5, -18], [-2, 45, -28], [-3, 39, -42], [-4, 31.5, -56], [-4, 27, -64]]
QUADRICEPS_TENDON: Knots = [[-2, 48.5, 25], [-2, 49.5, 34], [-3, 50, 50], [-4, 48.5, 70], [-5, 46, 92]]
ILIOTIBIAL_BAND: Knots = [
    [-56, 8, 95],
    [-54, 8, 60],
    [-50, 9, 30],
    [-47, 9, 8],
    [-45, 11, -10],
    [-41, 13, -25],
    [-34, 14, -38],
    [-30, 14, -46],
]
POPLITEUS_TENDON: Knots = [[-38, 1, -9], [-40, -7, -17], [-38, -16, -25], [-32, -23, -30], [-24, -28, -36]]
GRACILIS: Knots = [[44.5, -37, 14], [44, -36.5, 0], [42, -34, -20], [38, -26, -40], [31, -10, -56], [24, 3, -66]]
SEMITENDINOSUS: Knots = [
    [28, -50.5, 26],
    [31, -49, 10],
    [35, -46, -8],
    [38, -39, -25],
    [37.5, -28, -44],
    [31, -11, -62],
    [23, 3, -72],
]
SEMIMEMBRANOSUS: Knots = [[27, -37, 0], [27, -33, -16], [27, -28.5, -28], [28, -25, -36], [30, -20, -43]]
BICEPS: Knots = [[-41, -31, 10], [-41.5, -28, -8], [-41, -24, -25], [-39, -20.5, -38], [-37, -19, -47]]
ADDUCTOR_MAGNUS: Knots = [[33, -16, 60], [36, -15, 40], [38, -11, 24], [38, -8, 15]]
TRANSVERSE: Knots = [[14, 19, -27.5], [6, 22, -26], [-4, 22, -26], [-13, 19, -26.5]]
MEDIAL_RETINACULUM: Knots = [[15, 45.5, 7], [21, 41.5, 6.5], [31, 29, 6], [37, 16, 5], [41, 3, 5]]
LATERAL_RETINACULUM: Knots = [[-20, 46, 6], [-26, 42, 5], [-35, 28, 3], [-41, 17, 2], [-45, 10, 1]]
MEDIAL_GASTROCNEMIUS: Knots = [[25, -20, 15], [23, -29, 2], [23, -38, -14], [28, -46, -34]]
LATERAL_GASTROCNEMIUS: Knots = [[-27, -19, 13], [-27, -28, 2], [-28, -36, -12], [-32, -42, -32]]
POSTERIOR_MENISCOFEMORAL: Knots = [[7, -8, -8], [2, -19, -16], [-6, -22, -22], [-12, -20, -26]]


def cruciates(scale: float) -> dict[str, Tube]:
    """Anterior and posterior cruciate ligament."""
    return {
        "anterior cruciate ligament": _strap(ACL, scale, (4.4, 2.6), (0.75, 0.55, 0.3)),
        "posterior cruciate ligament": _strap(PCL, scale, (5.2, 3.8), (1, 0, 0)),
    }


def collaterals(scale: float, femur: Field, tibia: Field) -> dict[str, Tube]:
    """Collateral ligaments; the medial one is laid on the bones."""
    medial = smooth_course(MCL) * scale
    medial = lay_on(medial, femur, 1.3, np.interp(medial[:, 2], [-26, -14], [0, 1]))
    medial = keep_off(medial, tibia, 1.8)
    medial = lay_on(medial, tibia, 2.0, np.interp(medial[:, 2], [-48, -36], [0.9, 0.0]))
    lateral = keep_off(smooth_course(LCL) * scale, femur, 1.6)
    return {
        "medial collateral ligament": tube(medial, (8.5 * scale, 1.1), (0, 1, 0)),
        "lateral collateral ligament": tube(lateral, (2.1, 1.6), (0, 1, 0)),
    }


def extensor_tendons(scale: float, patella: Field) -> dict[str, Tube]:
    """Quadriceps and patellar tendon."""
    above = smooth_course(QUADRICEPS_TENDON) * scale
    narrow = np.interp(above[:, 2] / scale, [25, 40, 92], [17.0, 15.0, 11.0])
    thick = np.interp(above[:, 2] / scale, [25, 36, 92], [2.6, 3.6, 2.0])
    below = smooth_course(PATELLAR_TENDON) * scale
    width = np.interp(below[:, 2] / scale, [-64, -45, -20, -9], [10.0, 12.5, 14.5, 14.0])
    front = smooth_course([[-2, 52.5, -10], [-2.5, 54.1, 0], [-3, 54.3, 12], [-2.5, 52.5, 24]]) * scale
    return {
        "quadriceps tendon": tube(above, np.stack([narrow, thick], -1) * scale, (1, 0, 0), 1.6),
        "patellar tendon": tube(below, np.stack([width, np.full(len(width), 2.5)], -1) * scale, (1, 0, 0), -1.8),
        "prepatellar fibres": tube(lay_on(front, patella, 0.4), (13.0 * scale, 0.7), (1, 0, 0), 2.0),
    }


def tendons(scale: float, fascia: Field, bones: Sequence[Field]) -> dict[str, Tube]:
    """Iliotibial band, popliteus, pes anserinus, semimembranosus, biceps, adductor magnus and the small intra-articular bands."""
    band = smooth_course(ILIOTIBIAL_BAND) * scale
    band = lay_on(band, fascia, -0.5, np.interp(band[:, 2], [-40, -18], [0.0, 1.0]))
    medial = lay_on(smooth_course(MEDIAL_RETINACULUM) * scale, bones[0], 2.6, 0.75)
    lateral = lay_on(smooth_course(LATERAL_RETINACULUM) * scale, bones[0], 2.8, 0.6)
    straps = {
        "medial retinaculum": tube(medial, (15.0 * scale, 0.65), (0, 0, 1)),
        "lateral retinaculum": tube(lateral, (14.0 * scale, 0.75), (0, 0, 1)),
        "medial gastrocnemius tendon": _strap(MEDIAL_GASTROCNEMIUS, scale, (4.0, 0.8), (1, 0.2, 0)),
        "lateral gastrocnemius tendon": _strap(LATERAL_GASTROCNEMIUS, scale, (3.6, 0.8), (1, -0.3, 0)),
        "iliotibial band": tube(band, (8.5 * scale, 1.05), (0.25, 1, 0)),
        "gracilis tendon": _strap(GRACILIS, scale, (1.9, 1.5), (0, 1, 0)),
        "semitendinosus tendon": _strap(SEMITENDINOSUS, scale, (2.1, 1.7), (0, 1, 0)),
        "semimembranosus tendon": _strap(SEMIMEMBRANOSUS, scale, (3.6, 2.0), (0.8, 0.6, 0)),
        "biceps tendon": _strap(BICEPS, scale, (3.4, 1.7), (0.4, 0.9, 0)),
        "adductor magnus tendon": _strap(ADDUCTOR_MAGNUS, scale, (2.3, 1.6), (0, 1, 0)),
        "popliteus tendon": _strap(POPLITEUS_TENDON, scale, (2.6, 1.5), (0, 0.5, 0.8)),
        "transverse ligament": _strap(TRANSVERSE, scale, (1.0, 0.9), (0, 0, 1)),
        "meniscofemoral ligament": _strap(POSTERIOR_MENISCOFEMORAL, scale, (1.3, 0.9), (0, 0, 1)),
    }
    for name in ("gracilis tendon", "semitendinosus tendon", "popliteus tendon", "biceps tendon"):
        points = keep_in(straps[name].points, fascia, 2.6)
        for bone in bones:
            points = keep_off(points, bone, 2.0)
        straps[name] = Tube(points, straps[name].half_axes, straps[name].wide)
    return straps


def _strap(knots: Knots, scale: float, half_axes: tuple[float, float], towards: Sequence[float]) -> Tube:
    return tube(smooth_course(knots) * scale, np.asarray(half_axes) * scale, towards)
