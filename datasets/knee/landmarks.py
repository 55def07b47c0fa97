"""Named points of the knee, for finding slices: bony landmarks, the joint line, and where needles go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field
from knerve.datasets.knee.nerves import Bundle
from knerve.datasets.knee.surfaces import lay_on

Real = NDArray[np.float64]

ON_BONE: Mapping[str, tuple[str, tuple[float, float, float]]] = {
    "medial epicondyle": ("femur", (42, 0, 3)),
    "lateral epicondyle": ("femur", (-41, -2, 3)),
    "adductor tubercle": ("femur", (39, -9, 17)),
    "tibial tuberosity": ("tibia", (-4, 30, -57)),
    "fibular head": ("fibula", (-35, -19, -42)),
    "patella": ("patella", (-2, 56, 8)),
}
INSIDE: Mapping[str, tuple[float, float, float]] = {
    "joint line": (0, 0, -28.5),
    "medial joint line": (37, -2, -28.5),
    "lateral joint line": (-37, -3, -28),
}


def landmarks(bones: Mapping[str, Field], bundles: Sequence[Bundle], scale: float) -> dict[str, Real]:
    """Points (3) in the knee's frame by name; "target: NERVE" is where a genicular nerve lies farthest to its side."""
    found = {name: scale * np.array(point, float) for name, point in INSIDE.items()}
    for name, (bone, point) in ON_BONE.items():
        found[name] = lay_on(scale * np.array([point], float), bones[bone], 0.0)[0]
    for bundle in bundles:
        found[f"target: {bundle.nerve.name}"] = bundle.nerve.course[target_index(bundle)]
    return found


def target_index(bundle: Bundle) -> int:
    """Index along the course of the usual target: the point farthest to the nerve's side."""
    x = bundle.nerve.course[:, 0]
    return int(np.argmax(x) if "medial" in bundle.nerve.name else np.argmin(x))
