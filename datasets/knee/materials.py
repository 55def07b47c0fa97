"""Tissues as they look: fat with septa, marrow with trabeculae, muscle with fascicles and streaks of fat."""

from __future__ import annotations

from knerve.datasets.knee.fields import Point
from knerve.datasets.knee.layers import Material

TISSUES = (
    "muscle",
    "cartilage",
    "synovial_fluid",
    "subcutaneous_fat",
    "marrow_fat",
    "nerve",
    "nerve_compressed",
    "tendon_ligament",
    "meniscus",
    "cortical_bone",
    "arterial_blood",
    "venous_blood",
    "skin",
    "ethanol",
    "signal_void",
    "oedema",
    "lesion_core",
)

SKIN = Material("skin", "subcutaneous_fat", mean=0.05, cloud=0.04, cloud_mm=1.5)
SUBCUTANEOUS = Material(
    "subcutaneous_fat",
    "tendon_ligament",
    mean=0.01,
    cloud=0.01,
    cloud_mm=5,
    wall=0.4,
    wall_mm=0.14,
    cell_mm=9.0,
    stretch=1.8,
)
DEEP_FAT = Material(
    "subcutaneous_fat",
    "tendon_ligament",
    mean=0.03,
    cloud=0.02,
    cloud_mm=4,
    wall=0.25,
    wall_mm=0.13,
    cell_mm=7.0,
    stretch=1.6,
)
FASCIA = Material("tendon_ligament", "subcutaneous_fat", mean=0.25, cloud=0.2, cloud_mm=5)
TENDON = Material(
    "tendon_ligament",
    "subcutaneous_fat",
    mean=0.02,
    cloud=0.02,
    cloud_mm=2,
    wall=0.08,
    wall_mm=0.2,
    cell_mm=1.6,
    stretch=8,
)
CRUCIATE = Material(
    "tendon_ligament",
    "synovial_fluid",
    mean=0.1,
    cloud=0.06,
    cloud_mm=2,
    wall=0.3,
    wall_mm=0.25,
    cell_mm=2.2,
    stretch=9,
    along=(-0.2, 0.5, -0.84),
)
CORTEX = Material("cortical_bone", "marrow_fat", mean=0.03, cloud=0.03, cloud_mm=3)
MARROW = Material(
    "marrow_fat",
    "cortical_bone",
    mean=0.01,
    cloud=0.008,
    cloud_mm=6,
    wall=0.09,
    wall_mm=0.2,
    cell_mm=1.2,
    stretch=6.0,
    patchy=0.15,
)
EPIPHYSIS = Material(
    "marrow_fat",
    "cortical_bone",
    mean=0.015,
    cloud=0.009,
    cloud_mm=3,
    wall=0.09,
    wall_mm=0.2,
    cell_mm=1.1,
    stretch=6.0,
    patchy=0.15,
)
SUBCHONDRAL = Material(
    "marrow_fat", "cortical_bone", mean=0.14, cloud=0.05, cloud_mm=3, wall=0.2, wall_mm=0.2, cell_mm=1.0, stretch=3.0
)
SCAR = Material("marrow_fat", "cortical_bone", mean=0.45, cloud=0.15, cloud_mm=2)
CARTILAGE = Material("cartilage", "synovial_fluid", mean=0.0, cloud=0.012, cloud_mm=1.5)
MENISCUS = Material("meniscus", "synovial_fluid", mean=0.01, cloud=0.01, cloud_mm=2)
FLUID = Material("synovial_fluid")
ARTERY = Material("signal_void")
VEIN = Material("venous_blood")
VESSEL_WALL = Material("tendon_ligament")
NERVE = Material("nerve")
EPINEURIUM = Material("subcutaneous_fat", "tendon_ligament", mean=0.1, cloud=0.03, cloud_mm=1)


def muscle(fibres: Point, coarse: float = 1.0) -> Material:
    """Muscle whose fascicles run along `fibres`; coarse > 1 makes them larger."""
    return Material(
        "muscle",
        "subcutaneous_fat",
        mean=0.001,
        cloud=0.005,
        cloud_mm=2.5,
        wall=0.13,
        wall_mm=0.11 * coarse,
        cell_mm=4.5 * coarse,
        stretch=7.0,
        along=fibres,
    )


SHEATH = Material("tendon_ligament", "subcutaneous_fat", mean=0.6)
RETINACULUM = Material("tendon_ligament", "subcutaneous_fat", mean=0.2, cloud=0.15, cloud_mm=3)
SYNOVIUM = Material("tendon_ligament", "synovial_fluid", mean=0.25, cloud=0.1, cloud_mm=2)
VOID = Material("signal_void")
ETHANOL = Material("ethanol", "subcutaneous_fat", mean=0.04, cloud=0.04, cloud_mm=2)
OEDEMA = Material("oedema")
LESION_CORE = Material("lesion_core", "oedema", mean=0.05, cloud=0.05, cloud_mm=2)
