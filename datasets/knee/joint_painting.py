"""Paint the joint: fluid, capsule, cruciates, menisci, cartilage, and the bones with cortex, trabeculae and physeal scars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee import joint_space, ligaments
from knerve.datasets.knee import materials as m
from knerve.datasets.knee.fields import Field
from knerve.datasets.knee.joint_space import half_space
from knerve.datasets.knee.layers import Painting, Term
from knerve.datasets.knee.menisci import menisci

Float32 = NDArray[np.float32]

CORTEX_MM: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # heights z, thickness there
    "femur": ((20.0, 45.0, 70.0, 95.0), (0.9, 1.4, 3.0, 4.2)),
    "tibia": ((-95.0, -75.0, -55.0, -40.0), (4.0, 2.6, 1.3, 0.9)),
    "fibula": ((-95.0, -70.0, -52.0), (2.0, 1.6, 0.8)),
    "patella": ((0.0,), (1.0,)),
}
SCARS = {"femur": (17.0, (0.0, -0.12, -1.0)), "tibia": (-48.0, (0.0, -0.1, 1.0))}  # height z, direction to the shaft


def paint_joint(
    painting: Painting,
    bones: Mapping[str, Field],
    covers: Mapping[str, Field],
    scale: float,
    fluid_mm: float,
    clouds: Float32,
) -> None:
    """Everything inside the capsule.

    Args:
        painting: is added to.
        bones: distances to femur, tibia, fibula and patella.
        covers: distances to the cartilage of femur, tibia and patella.
        scale: size of the knee.
        fluid_mm: by which the suprapatellar recess is fuller than usual.
        clouds: noise.
    """
    recess = joint_space.suprapatellar_recess(scale, fluid_mm, clouds)
    painting.solid("synovium", m.SYNOVIUM, Term(recess, -0.7))
    painting.solid("joint fluid", m.FLUID, Term(recess), rough_mm=0.3)
    for name, shape in ligaments.extensor_tendons(scale, bones["patella"]).items():
        painting.tube(name, m.TENDON, shape, rough_mm=0.15)
    _paint_films(painting, covers, scale, clouds)
    for name, shape in ligaments.cruciates(scale).items():
        painting.tube(name, m.CRUCIATE, shape)
    medial, lateral = menisci(covers["tibia"], covers["femur"], scale)
    painting.solid("medial meniscus", m.MENISCUS, Term(medial))
    painting.solid("lateral meniscus", m.MENISCUS, Term(lateral))
    for name, cover in covers.items():
        painting.solid(f"{name} cartilage", m.CARTILAGE, Term(cover))
    for name, bone in bones.items():
        _paint_bone(painting, name, bone, scale, clouds)


def _paint_films(painting: Painting, covers: Mapping[str, Field], scale: float, clouds: Float32) -> None:
    """Synovium and a film of fluid on the cartilage, and the capsule behind the condyles."""
    for cover in covers.values():
        painting.solid("synovium", m.SYNOVIUM, Term(cover, -0.7), rough_mm=0.4)
    for cover in covers.values():
        painting.solid("joint fluid", m.FLUID, Term(cover, -0.25), rough_mm=0.35)
    behind = half_space((0, -9 * scale, 4 * scale), (0.0, 1.0, 0.6), clouds)
    capsule = (Term(covers["femur"], -1.9), Term(covers["femur"], 1.1, -1.0), Term(behind))
    painting.solid("joint capsule", m.FASCIA, *capsule, rough_mm=0.3)


def _paint_bone(painting: Painting, name: str, bone: Field, scale: float, clouds: Float32) -> None:
    _, _, z = bone.grid.mesh()
    thickness = np.interp(z / scale, *CORTEX_MM[name]).astype(np.float32) * np.float32(scale)
    inside = Field(bone.grid, bone.values + thickness)
    painting.solid(name, m.CORTEX, Term(bone))
    painting.solid(name, m.SUBCHONDRAL, Term(inside), rough_mm=0.15)
    painting.solid(name, m.EPIPHYSIS, Term(inside, 2.2), soft_mm=3.0)
    if name in SCARS:
        height, towards_shaft = SCARS[name]
        shaft = half_space((0, 0, height * scale), towards_shaft, clouds)
        painting.solid(name, m.MARROW, Term(inside, 2.0), Term(shaft), soft_mm=4.0)
        painting.solid(name, m.SCAR, Term(inside, 0.4), Term(shaft, -0.33), Term(shaft, -0.33, -1.0), soft_mm=0.4)
