"""The pulses of the .seq files of every preset as pulseq-rs reads them: their uses, moments, phases and inversion times."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest


def test_the_file_states_the_moment_of_every_pulse(pulseq_rs, written, protocol):
    """Version 1.5 names what 1.4.1 leaves open, and off-centre slices have the phase of the pulse at that moment."""
    uses, inverted_s = Counter(), {}
    for block in pulseq_rs.load_pulseq_rs(str(written(protocol.name, "1.5"))).blocks:
        if not block.rf:
            continue
        uses[block.rf.rf_use] += 1
        middle_s = block.gz.delay + block.gz.shape_duration / 2
        assert block.rf.delay + block.rf.center == pytest.approx(middle_s, abs=5e-7)
        place_mm = round(1e3 * block.rf.freq / block.gz.sample(middle_s), 3)
        if block.rf.rf_use == "inversion":
            inverted_s[place_mm] = block.start + middle_s
            continue
        phase = block.rf.phase + 2 * math.pi * block.rf.freq * block.rf.center
        assert np.exp(1j * phase) == pytest.approx(1j if block.rf.rf_use == "excitation" else 1.0, abs=1e-3)
        if block.rf.rf_use == "excitation" and inverted_s:
            inversion_time_s = block.start + middle_s - inverted_s.pop(place_mm)
            assert inversion_time_s == pytest.approx(protocol.fat_suppression.inversion_time_s, abs=1e-6)
    n_shots, is_inverted = uses["excitation"], protocol.fat_suppression.method == "stir"
    assert uses["refocusing"] == n_shots * protocol.echo_train.echo_train_length
    assert uses["inversion"] == (n_shots if is_inverted else 0)
