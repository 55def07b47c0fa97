"""RF exposure and gradient limits: the numbers, and that nothing passes without being evaluated."""

from __future__ import annotations

import math

import numpy as np
import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.rf_pulse import RfPulse
from knerve.sequences.safety import (
    Check,
    CheckResult,
    GradientLimits,
    b1_rms_ut,
    check_b1_rms,
    check_gradients,
    check_peak_b1,
    check_sar,
    overall,
    relative_sar,
    results,
    scaled_peak_ut,
    shot_energy_ut2_s,
)


def hard_pulse(energy_hz2_s, flip_deg):
    return RfPulse(np.full(10, math.sqrt(energy_hz2_s / 2e-3)), 2e-3, flip_deg, 1.0)


def test_b1_rms_of_the_navigating_scan():
    shot = shot_energy_ut2_s(hard_pulse(37.9, 90.0), hard_pulse(99.2, 150.0), [150.0] * 15)
    assert b1_rms_ut(15 * shot, 3.0) == pytest.approx(2.05, abs=0.01)


def test_energy_goes_with_the_square_of_the_angle():
    excitation, refocusing = hard_pulse(0.0, 90.0), hard_pulse(10.0, 180.0)
    full = shot_energy_ut2_s(excitation, refocusing, [180.0, -180.0])
    assert shot_energy_ut2_s(excitation, refocusing, [120.0, 120.0]) == pytest.approx(full * 4 / 9)
    assert full == pytest.approx(20 / (GAMMA_HZ_PER_T * 1e-6) ** 2)
    assert relative_sar(1.0, 2.0) == 0.25
    with pytest.raises(ProtocolError, match="over 0 s"):
        b1_rms_ut(1.0, 0.0)


@pytest.mark.parametrize(
    ("value", "limit", "verdict"),
    [
        (1.0, 2.0, "pass"),
        (2.0, 2.0, "pass"),
        (2.1, 2.0, "fail"),
        (None, 2.0, "not evaluated"),
        (1.0, None, "not evaluated"),
        (math.nan, 2.0, "not evaluated"),
        (1.0, math.inf, "not evaluated"),
    ],
)
def test_verdicts(value, limit, verdict):
    assert Check("x", "", value, limit).verdict == verdict


def test_not_evaluated_is_never_a_pass():
    passed, failed, unknown = Check("a", "", 1, 2), Check("b", "", 3, 2), Check("c", "")
    assert overall([]) == "not evaluated"
    assert overall([passed]) == "pass"
    assert overall([passed, unknown]) == "not evaluated"
    assert overall([passed, unknown, failed]) == "fail"


def test_sar_needs_the_coil():
    assert check_sar(2.8, None, 2.0).verdict == "not evaluated"
    assert "needs k" in check_sar(2.8, None, 2.0).note
    known = check_sar(2.8, 0.25, 2.0)
    assert (known.value, known.verdict) == (pytest.approx(1.96), "pass")
    assert check_sar(2.8, 0.25).verdict == "not evaluated"


def test_b1_has_no_default_limit():
    assert check_b1_rms(0.01).verdict == "not evaluated"
    assert check_b1_rms(3.0, 2.8).verdict == "fail"
    assert scaled_peak_ut(hard_pulse(10.0, 90.0), -180.0) == pytest.approx(2 * hard_pulse(10.0, 90.0).peak_b1_ut)
    assert check_peak_b1(20.3).verdict == "not evaluated"
    assert check_peak_b1(20.3, 15.0).verdict == "fail"


def test_results_are_the_checks_with_their_verdicts():
    (result,) = results([Check("a", "mT/m", 1.0, 2.0, "why")])
    assert result == CheckResult("a", "mT/m", 1.0, 2.0, "pass", "why")


def test_gradients_on_one_axis_and_as_a_vector():
    waveform = np.array([[0.0, 30.0, 0.0], [0.0, 40.0, 0.0], [0.0, 0.0, 0.0]])
    checks = {check.name: check for check in check_gradients(waveform, 1e-3, GradientLimits(45.0, 45.0))}
    assert checks["gradient, one axis"].value == pytest.approx(40)
    assert checks["gradient, vector"].value == pytest.approx(50)
    assert checks["slew rate, vector"].value == pytest.approx(50)
    assert {name: check.verdict for name, check in checks.items()} == {
        "gradient, one axis": "pass",
        "gradient, vector": "fail",
        "slew rate, one axis": "pass",
        "slew rate, vector": "fail",
    }


def test_gradients_without_waveform_or_limits_are_not_evaluated():
    limits = GradientLimits(45.0, 200.0)
    assert {check.verdict for check in check_gradients(None, 1e-5, limits)} == {"not evaluated"}
    assert {check.verdict for check in check_gradients(np.zeros((3, 9)), 1e-5, GradientLimits())} == {"not evaluated"}
    assert overall(check_gradients(np.zeros((3, 9)), 1e-5, limits)) == "pass"
