"""RF pulses: the rotation that they make, against Bloch's equation, and the slice that they select."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from knerve.sequences.epg import spinor_operator
from knerve.sequences.errors import ProtocolError
from knerve.sequences.profile_width import full_width_half_maximum
from knerve.sequences.rf_pulse import RfPulse, excitation_pulse, refocusing_pulse

pytest.importorskip("sigpy", reason="SigPy designs the pulses")


def bloch(pulse, place, start, amplitude=1.0, substeps=20):
    """Magnetisation (3) after a pulse, by small rotations of B1 and gradient one after the other."""
    m = np.array(start, dtype=float)
    dt = pulse.duration_s / len(pulse.b1_hz) / substeps
    about_z = 2 * np.pi * place * pulse.bandwidth_hz * dt
    for b1_hz in np.repeat(pulse.b1_hz, substeps):
        about_x = 2 * np.pi * b1_hz * amplitude * dt
        for axis, angle in ((2, about_z / 2), (0, about_x), (2, about_z / 2)):
            i, j = (axis + 1) % 3, (axis + 2) % 3
            c, s = np.cos(angle), np.sin(angle)
            m[i], m[j] = c * m[i] - s * m[j], s * m[i] + c * m[j]
    return m


@pytest.mark.parametrize("pulse", [excitation_pulse(2.6e-3), refocusing_pulse(2.0e-3, 3.0, 150.0)], ids=["exc", "ref"])
@pytest.mark.parametrize("amplitude", [1.0, 0.6])
@pytest.mark.parametrize("place", [0.0, 0.37, -0.9])
def test_rotation_equals_bloch(pulse, amplitude, place):
    operator = spinor_operator(*pulse.spinors(np.array(place), amplitude))
    for start in np.eye(3):
        f_plus, _, z = operator @ [start[0] + 1j * start[1], start[0] - 1j * start[1], start[2]]
        np.testing.assert_allclose([f_plus.real, f_plus.imag, z.real], bloch(pulse, place, start, amplitude), atol=2e-5)


@pytest.mark.parametrize("flip_deg", [120.0, 150.0, 180.0])
def test_flip_angle_on_resonance(flip_deg):
    a, _ = refocusing_pulse(2.0e-3, 3.0, flip_deg).spinors(np.zeros(1))
    assert np.rad2deg(2 * np.arccos(abs(a[0]))) == pytest.approx(flip_deg, abs=1e-3)


def test_excited_slice_is_flat_sharp_and_rephased():
    pulse = excitation_pulse(2.6e-3, 6.0)
    place = np.linspace(-2, 2, 401)
    a, b = pulse.spinors(place)
    transverse = 2j * a.conj() * b * np.exp(-2j * np.pi * pulse.rephasing * pulse.time_bandwidth * place)
    inside, outside = np.abs(place) < 0.3, np.abs(place) > 0.85
    np.testing.assert_allclose(np.abs(transverse[inside]), 1, atol=0.01)
    assert np.abs(np.angle(transverse[inside])).max() < 0.06
    assert np.abs(transverse[outside]).max() < 0.02
    assert full_width_half_maximum(np.abs(transverse), 0.01) == pytest.approx(1, abs=0.06)
    assert abs(transverse.sum()) > 0.98 * np.abs(transverse).sum()


def test_refocused_slice_is_flat_and_sharp():
    place = np.linspace(-2, 2, 401)
    _, b = refocusing_pulse(3.0e-3, 6.0, 150.0).spinors(place)
    refocused = np.abs(b) ** 2
    np.testing.assert_allclose(refocused[np.abs(place) < 0.3], np.sin(np.deg2rad(75)) ** 2, atol=0.015)
    assert refocused[np.abs(place) > 0.85].max() < 1e-3
    assert full_width_half_maximum(refocused, 0.01) == pytest.approx(1, abs=0.03)


def test_energy_and_peak_of_a_hard_pulse():
    pulse = RfPulse(np.full(100, 250.0), 1e-3, 90.0, 1.0)
    assert pulse.peak_b1_ut == pytest.approx(5.8716, abs=1e-3)
    assert pulse.energy_ut2_s == pytest.approx(5.8716**2 * 1e-3, rel=1e-3)


def test_wrong_pulses_are_refused():
    with pytest.raises(ProtocolError, match="lasts 50 ms"):
        excitation_pulse(50e-3)
    with pytest.raises(ProtocolError, match="time-bandwidth product of 1;"):
        refocusing_pulse(2e-3, 1.0)
    with pytest.raises(ProtocolError, match="flip angle of 270"):
        refocusing_pulse(2e-3, 3.0, 270.0)


def test_without_sigpy_the_message_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name == "sigpy" or name.startswith("sigpy.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sigpy", None)
    with pytest.raises(ProtocolError, match="pip install sigpy"):
        refocusing_pulse(2.345e-3)
