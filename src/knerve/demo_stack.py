"""Where the demo's slices lie: through all four genicular nerves.

From the femur's nerves to the tibia's it is 70 mm: too far for an axial stack of 49.5 mm, and in it they would run within the
slices, three times thicker than they are. From front to back their targets lie within a centimetre of each other, and there the
nerves run from back to front: coronal slices cut each of them across.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from knerve.datasets.knee import Knee
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.sequences.protocol import Protocol

GENICULAR = ("superior-medial", "superior-lateral", "inferior-medial", "inferior-lateral")
# Turned twice, a sagittal slice is a coronal one that reads along the leg: the leg is longer than the field of view, and
# only along the readout does that not fold over.
CORONAL_READ_ALONG_LEG = SimulationSettings(orientation="sagittal", tilt_deg=(90.0, 90.0))


def through_the_nerves(knee: Knee, seed: int) -> SimulationSettings:
    """Settings of a coronal stack whose middle is that of the nerves' targets, and as many slices as the protocol has."""
    targets = np.array([knee.landmarks[f"target: {name}"] for name in GENICULAR])
    _, y_mm, z_mm = (targets.min(axis=0) + targets.max(axis=0)) / 2
    centre_mm = (knee.position_mm[0], float(y_mm), float(z_mm))
    return replace(CORONAL_READ_ALONG_LEG, seed=seed, centre_mm=centre_mm)


def of_slices(protocol: Protocol, n_slices: int) -> Protocol:
    """The protocol with another number of slices.

    Raises:
        ProtocolError: they do not fit into the repetition time.
    """
    return replace(protocol, geometry=replace(protocol.geometry, n_slices=n_slices))
