"""Nerve stimulation: the SAFE model against its published translation, its closed form, and its honesty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.pns import EXAMPLE_HARDWARE, SafeAxis, check_pns, stimulation


def test_equals_pypulseq_on_its_example():
    reference = pytest.importorskip("pypulseq.utils.safe_pns_prediction", reason="pypulseq is not installed")
    waveform, rf, raster_ms = reference.safe_example_gwf()
    expected, _ = reference.safe_gwf_to_pns(
        waveform, rf, raster_ms * 1e-3, reference.safe_example_hw(), do_padding=False
    )
    ours = stimulation(waveform.T * 1e3, raster_ms * 1e-3, EXAMPLE_HARDWARE)
    np.testing.assert_allclose(ours.T, expected / 100, atol=1e-9)


def test_equals_the_recursion_of_its_filters():
    rng = np.random.default_rng(2)
    waveform, raster_s = np.cumsum(rng.normal(size=(3, 400)), axis=1), 1e-5
    slew = np.diff(waveform, axis=1) * 1e-3 / raster_s
    for axis, s, ours in zip("xyz", slew, stimulation(waveform, raster_s, EXAMPLE_HARDWARE), strict=True):
        c = getattr(EXAMPLE_HARDWARE, axis)
        state, expected = np.zeros(3), []
        alpha = raster_s / (np.array(c.tau_ms) * 1e-3 + raster_s)
        for value in s:
            state = alpha * np.array([value, abs(value), value]) + (1 - alpha) * state
            expected.append(np.dot(c.weight, np.abs(state)) * c.scale / c.limit_t_per_m_per_s)
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_a_long_ramp_reaches_its_slew_rate():
    axis = SafeAxis((0.1, 0.1, 0.1), (0.5, 0.3, 0.2), 20.0, 0.4)
    hardware = replace(EXAMPLE_HARDWARE, x=axis)
    ramp = np.zeros((3, 1001))
    ramp[0] = np.linspace(0, 100, 1001)  # 10 T/m/s for 10 ms
    assert stimulation(ramp, 1e-5, hardware)[0, -1] == pytest.approx(10 * 0.4 / 20)


def test_it_scales_with_the_waveform():
    waveform = np.sin(np.linspace(0, 20, 900)) * np.array([[10.0], [20.0], [5.0]])
    np.testing.assert_allclose(
        stimulation(3 * waveform, 1e-5, EXAMPLE_HARDWARE), 3 * stimulation(waveform, 1e-5, EXAMPLE_HARDWARE)
    )


def test_the_worst_shot_decides():
    shot = np.concatenate([np.linspace(0, 1, 30), np.linspace(1, 0, 30), np.zeros(2000)])
    train = np.concatenate([shot * scale for scale in (1, 5, 20)])
    worst = check_pns(np.stack([train, 0 * train, 0 * train]), 1e-5, EXAMPLE_HARDWARE).value
    only_last = check_pns(np.stack([20 * shot, 0 * shot, 0 * shot]), 1e-5, EXAMPLE_HARDWARE).value
    assert worst == pytest.approx(only_last, rel=0.02)


def test_example_coefficients_never_pass():
    quiet = np.zeros((3, 50))
    example = check_pns(quiet, 1e-5, EXAMPLE_HARDWARE)
    assert example.verdict == "not evaluated"
    assert "no real scanner" in example.note
    assert check_pns(quiet, 1e-5, replace(EXAMPLE_HARDWARE, name="theirs", is_real=True)).verdict == "pass"
    assert check_pns(None, 1e-5, EXAMPLE_HARDWARE).verdict == "not evaluated"
    assert check_pns(quiet, 1e-5, None).note == "needs SAFE coefficients of the scanner"


def test_wrong_input_is_refused():
    with pytest.raises(ProtocolError, match=r"shape \(2, 5\)"):
        stimulation(np.zeros((2, 5)), 1e-5, EXAMPLE_HARDWARE)
    with pytest.raises(ProtocolError, match="weights that sum to 1"):
        SafeAxis((1, 1, 1), (0.5, 0.5, 0.5), 20.0, 0.4)
