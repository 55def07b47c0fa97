"""What a procedure brings into the knee: needles, injected depots, cryoprobes with their ice, radiofrequency lesions.

A scene stands at a nerve or at a point; its objects lie about that place, in the knee's own directions, so that the same
scene fits a right and a left knee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from knerve.datasets.scan_plane import Vector

Metal = Literal["titanium", "nitinol", "steel"]
Substance = Literal["bupivacaine", "ethanol"]


@dataclass(frozen=True)
class Needle:
    """A straight cannula; the metal gives no signal and bends the field around it.

    Attributes:
        metal: "titanium", "nitinol" or "steel" (austenitic).
        gauge: 18 (1.27 mm) or 22 (0.72 mm) across.
        offset_mm: of the tip from the scene's place (medial, anterior, proximal).
        direction: from the tip to the hub (medial, anterior, proximal), of any length; None comes straight in from the skin.
        length_mm: of the shaft.
    """

    metal: Metal = "titanium"
    gauge: Literal[18, 22] = 22
    offset_mm: Vector = (0.0, 0.0, 0.0)
    direction: Vector | None = None
    length_mm: float = 90.0


@dataclass(frozen=True)
class Depot:
    """An injected fluid, spread along the fat plane of the place: around the bone, between the muscles.

    Attributes:
        substance: "bupivacaine" (as water) or "ethanol" (97 %).
        volume_ml: injected.
        offset_mm: of its middle from the scene's place.
    """

    substance: Substance = "bupivacaine"
    volume_ml: float = 1.5
    offset_mm: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Cryoprobe:
    """A probe in its ice ball, which gives no signal, with a thin rim of oedema.

    Attributes:
        ice_length_mm: along the probe.
        ice_width_mm: across it.
        rim_mm: of oedema.
        metal: of the shaft, 1.3 mm across.
        offset_mm: of the ice's middle from the scene's place.
        direction: of the shaft, as for a needle.
    """

    ice_length_mm: float = 14.0
    ice_width_mm: float = 10.0
    rim_mm: float = 1.2
    metal: Metal = "titanium"
    offset_mm: Vector = (0.0, 0.0, 0.0)
    direction: Vector | None = None


@dataclass(frozen=True)
class Lesion:
    """A radiofrequency lesion: a coagulated core in an oedematous rim.

    Attributes:
        length_mm: of the core, along the electrode.
        width_mm: of the core.
        rim_mm: of oedema.
        offset_mm: of its middle from the scene's place.
        direction: of the electrode, as for a needle.
    """

    length_mm: float = 11.0
    width_mm: float = 8.0
    rim_mm: float = 2.0
    offset_mm: Vector = (0.0, 0.0, 0.0)
    direction: Vector | None = None


SceneObject = Needle | Depot | Cryoprobe | Lesion


@dataclass(frozen=True)
class Scene:
    """Objects at one place.

    Attributes:
        objects: what is there; later ones over earlier ones of the same kind.
        nerve: where, by a nerve's name; or None.
        along: at which part of that nerve, 0 at its trunk and 1 at its end; None at its usual target beside the bone.
        point_mm: where, in patient coordinates (LPS), if not at a nerve.
    """

    objects: tuple[SceneObject, ...]
    nerve: str | None = None
    along: float | None = None
    point_mm: Vector | None = None

    @classmethod
    def at_nerve(cls, nerve: str, *objects: SceneObject, along: float | None = None) -> Scene:
        """Objects at a nerve, such as "superior-medial"."""
        return cls(objects, nerve=nerve, along=along)

    @classmethod
    def at_point(cls, point_mm: Vector, *objects: SceneObject) -> Scene:
        """Objects at a point of the patient (LPS, mm)."""
        return cls(objects, point_mm=point_mm)
