"""The inversion time at which fat gives no signal in a protocol: with its own TR, echo train and inversion pulse."""

from __future__ import annotations

import numpy as np

from knerve.sequences.epg import EXCITATION_PHASE_RAD, rf_operator, shot_response
from knerve.sequences.fat import spair_null_s, stir_null_s
from knerve.sequences.sections import Sections
from knerve.sequences.tissues import Tissue, relaxation_s
from knerve.sequences.train_echoes import inversion_period_s, refocusing_angles


def fat_null_s(protocol: Sections, fat: Tissue, efficiency: float) -> float | None:
    """Inversion time TI that nulls a tissue.

    Args:
        protocol: its own inversion time does not matter.
        fat: the tissue.
        efficiency: of the inversion, `TrainEchoes.efficiency`.

    Returns:
        Seconds; None without an inversion.

    Raises:
        ProtocolError: there is no such time within TR.
    """
    t1_s, t2_s = relaxation_s([fat])
    if protocol.fat_suppression.method == "none":
        return None
    if protocol.fat_suppression.method == "spair":
        return spair_null_s(float(t1_s[0]), inversion_period_s(protocol), efficiency)
    train = protocol.echo_train
    excitation = rf_operator(np.radians([train.excitation_angle_deg]), EXCITATION_PHASE_RAD)
    refocusing = rf_operator(np.radians(refocusing_angles(train)))[:, None]
    shot = shot_response(t1_s, t2_s, excitation, refocusing, train.echo_spacing_s)
    return stir_null_s(
        float(t1_s[0]),
        protocol.schedule.repetition_time_s,
        train.echo_train_length * train.echo_spacing_s,
        efficiency,
        float(shot.recovered[0, 0]),
    )
