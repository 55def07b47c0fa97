"""Fat: its displacement, and its nulls against simulated shots."""

from __future__ import annotations

import numpy as np
import pytest

from knerve.sequences.epg import EXCITATION_PHASE_RAD, Preparation, rf_operator, shot_response, tse_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.fat import (
    FAT_SPECTRUM,
    fat_shift_hz,
    read_displacement_mm,
    slice_displacement_mm,
    spair_null_s,
    stir_null_s,
    water_fat_shift_px,
)
from knerve.sequences.refocusing_trains import constant_train

ESP_S = 9.39e-3


def test_shift_and_displacement():
    assert fat_shift_hz(3.0) == pytest.approx(434, abs=0.5)
    assert fat_shift_hz(2.89) == pytest.approx(418, abs=0.5)
    shifts = [water_fat_shift_px(3.0, bandwidth) for bandwidth in (150, 180, 226, 300, 400, 600)]
    np.testing.assert_allclose(shifts, [2.9, 2.4, 1.92, 1.45, 1.09, 0.72], atol=0.015)
    assert read_displacement_mm(3.0, 226, 0.29) == pytest.approx(0.56, abs=0.005)
    assert slice_displacement_mm(3.0, 1562.5, 3.0) == pytest.approx(0.83, abs=0.005)
    assert slice_displacement_mm(3.0, 1500, 3.6) == pytest.approx(1.04, abs=0.005)


def test_the_spectrum_is_nearly_normalised():
    assert sum(peak.share for peak in FAT_SPECTRUM) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("t1_s", "expected_ms"), [(0.371, (257, 248, 238)), (0.33, (229, 220, 212)), (0.3, (208, 200, 193))]
)
def test_null_after_full_recovery(t1_s, expected_ms):
    nulls_ms = [1e3 * stir_null_s(t1_s, efficiency=efficiency) for efficiency in (1, 0.95, 0.9)]
    np.testing.assert_allclose(nulls_ms, expected_ms, atol=0.6)


@pytest.mark.parametrize("tr_s", [0.6, 1.5, 5.0])
@pytest.mark.parametrize(("angle_deg", "efficiency"), [(180, 1.0), (120, 0.92)])
def test_fat_is_gone_in_the_full_shot(tr_s, angle_deg, efficiency):
    train, t1, t2 = constant_train(10, angle_deg), [0.371], [0.133]
    operators = rf_operator(np.deg2rad(train))[:, None]
    shot = shot_response(t1, t2, rf_operator(np.array([np.pi / 2]), EXCITATION_PHASE_RAD), operators, ESP_S)
    null_s = stir_null_s(0.371, tr_s, 10 * ESP_S, efficiency, float(shot.recovered[0, 0]))
    echoes = tse_echoes(
        t1, t2, train, ESP_S, repetition_time_s=tr_s, preparation=Preparation(-efficiency, null_s)
    ).amplitude
    assert np.abs(echoes).max() < 1e-12
    simple = stir_null_s(0.371, tr_s, 10 * ESP_S, efficiency)
    echoes = tse_echoes(
        t1, t2, train, ESP_S, repetition_time_s=tr_s, preparation=Preparation(-efficiency, simple)
    ).amplitude
    if tr_s == 5.0:  # the usual case: the train's own recovery is forgotten
        assert np.abs(echoes).max() < 1e-3


def test_stir_leaves_water_in_the_right_order():
    t1, t2, pd = [1.4, 1.42, 1.6, 3.62], [0.045, 0.0317, 0.09, 0.767], [0.8, 0.78, 0.88, 1.0]
    preparation = Preparation(-0.95, 0.22)
    echoes = tse_echoes(t1, t2, constant_train(10, 150), ESP_S, repetition_time_s=4.0, preparation=preparation)
    nerve, muscle, oedema, fluid = np.abs(echoes.amplitude[:, 0, 4]) * pd
    assert 0.1 < muscle < nerve < oedema < fluid < 0.6


def test_spair_null_equals_repeated_inversions():
    t1_s, period_s, efficiency = 0.371, 0.2, 0.95
    mz = 1.0
    for _ in range(60):
        mz = 1 + (-efficiency * mz - 1) * np.exp(-period_s / t1_s)
    null_s = spair_null_s(t1_s, period_s, efficiency)
    assert 1 + (-efficiency * mz - 1) * np.exp(-null_s / t1_s) == pytest.approx(0, abs=1e-12)
    assert 0.08 < null_s < 0.12


def test_impossible_nulls_are_refused():
    with pytest.raises(ProtocolError, match=r"null of T1 1\.4 s lies at .* leaves only 0\.05 s"):
        stir_null_s(1.4, 0.15, 0.1, mz_after_train=0.9)
    with pytest.raises(ProtocolError, match="must be longer than the echo train"):
        stir_null_s(0.3, 0.1, 0.2)
    with pytest.raises(ProtocolError, match=r"efficiency is 1\.5"):
        stir_null_s(0.3, efficiency=1.5)
    with pytest.raises(ProtocolError, match="bandwidth per pixel is 0 Hz"):
        water_fat_shift_px(3.0, 0)
