"""Adiabatic inversions: against the exact solution of the secant, over the slice, over B1, and at fat and water."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.fat import fat_shift_hz
from knerve.sequences.inversion_efficiency import inversion_efficiency, simulate, slice_efficiency
from knerve.sequences.inversion_pulse import InversionPulse, inversion_pulse
from knerve.sequences.protocol import Protocol
from knerve.sequences.rf_pulse import RfPulse
from knerve.sequences.sections import FatSuppression

FAT_S, MUSCLE_S = (0.371, 0.133), (1.42, 0.0317)
NEVER_S = np.array(1e9)


@pytest.fixture(scope="module")
def stir():
    return Protocol.load("stir")


def secant(duration_s, beta, sweep, amplitude_hz, n_samples=4000):
    times_s = ((np.arange(n_samples) + 0.5) / n_samples - 0.5) * duration_s
    envelope = 1 / np.cosh(beta * times_s)
    b1_hz = amplitude_hz * envelope * np.exp(1j * sweep * np.log(envelope))
    return InversionPulse(b1_hz, duration_s, sweep * beta / np.pi, 0.0, True)


@pytest.mark.parametrize("amplitude_hz", [150.0, 400.0, 700.0])
def test_the_simulation_equals_the_exact_solution(amplitude_hz):
    """Silver 1985: a secant that is not cut off, without relaxation."""
    beta, sweep = 1000.0, 5.0
    offset_hz = np.linspace(-1500, 1500, 31)
    x, drive = np.pi * 2 * np.pi * offset_hz / (2 * beta), 2 * np.pi * amplitude_hz / beta
    plus, minus = x + np.pi * sweep / 2, x - np.pi * sweep / 2
    left = np.cos(np.pi * np.emath.sqrt(drive**2 - sweep**2)).real / (np.cosh(plus) * np.cosh(minus))
    exact = np.tanh(plus) * np.tanh(minus) + left
    ours = simulate(secant(0.024, beta, sweep, amplitude_hz), offset_hz, NEVER_S, NEVER_S)
    np.testing.assert_allclose(ours, exact, atol=2e-3)


def test_relaxation_alone_is_recovery():
    silent = InversionPulse(np.zeros(100, dtype=complex), 0.02, 1000.0, 0.0, True)
    recovered = simulate(silent, np.array([0.0, 300.0]), np.array(0.371), np.array(0.133), mz=-1.0)
    np.testing.assert_allclose(recovered, 1 - 2 * np.exp(-0.02 / 0.371))
    efficiency = inversion_efficiency(silent, (0.0,), (0.371,), (0.133,))
    assert efficiency[0, 0] == pytest.approx(-1)  # Mz stays what it was


def test_a_slice_is_inverted_wider_than_it_is_excited(stir):
    pulse, excited_hz = inversion_pulse(stir), 4 / 2.56e-3
    place = np.linspace(-1.2, 1.2, 97)
    mz = simulate(pulse, place * excited_hz, NEVER_S, NEVER_S)
    assert pulse.bandwidth_hz == pytest.approx(1.3 * excited_hz)
    assert mz[np.abs(place) <= 0.5].max() < -0.9
    assert mz[np.abs(place) >= 0.9].min() > 0.95
    inverted = place[mz < 0]
    assert inverted[-1] - inverted[0] == pytest.approx(1.3, abs=0.08)


def test_it_inverts_whatever_b1_is(stir):
    pulse, offsets_hz = inversion_pulse(stir), np.linspace(-600, 600, 25)
    for b1, most in ((0.8, -0.88), (1.0, -0.97), (1.3, -0.97)):
        assert simulate(pulse, offsets_hz, NEVER_S, NEVER_S, b1).max() < most


def test_efficiency_falls_with_t2_and_rises_to_the_slice_average(stir):
    pulse, excitation = inversion_pulse(stir), RfPulse(np.ones(10), 2.56e-3, 90.0, 4.0)
    place = np.linspace(-1, 1, 41)
    t1_s, t2_s = np.array([FAT_S[0], MUSCLE_S[0]]), np.array([FAT_S[1], MUSCLE_S[1]])
    weight = np.tile(np.where(np.abs(place) <= 0.5, 1.0, 0.0), (2, 1))
    fat, muscle = slice_efficiency(pulse, excitation, place, weight, t1_s, t2_s)
    assert 0.9 < muscle < fat < 0.99
    wide = slice_efficiency(pulse, excitation, place, np.ones((2, 41)), t1_s, t2_s)
    assert wide[0] < fat / 2  # half of these places lie outside


@pytest.mark.parametrize("duration_s", [0.01, 0.015, 0.02])
def test_spair_takes_fat_and_leaves_water(stir, duration_s):
    pulse = inversion_pulse(replace(stir, fat_suppression=FatSuppression("spair", 0.1, duration_s)))
    shift_hz = fat_shift_hz(3.0)
    assert pulse.centre_hz == -shift_hz
    assert not pulse.is_selective
    assert pulse.peak_b1_ut < 7
    fat, water, water_50_hz_off = simulate(pulse, np.array([0.0, shift_hz, shift_hz - 50]), NEVER_S, NEVER_S)
    assert fat < -0.9
    assert water > 0.99
    assert water_50_hz_off > 0.9


def test_nothing_is_inverted_without_a_method_and_too_short_pulses_are_refused(stir):
    assert inversion_pulse(Protocol.load("navigate")) is None
    with pytest.raises(ProtocolError, match=r"duration_ms is 6; .* fat to water\. Nearest valid value: 8\.[0-9]"):
        replace(stir, fat_suppression=FatSuppression("spair", 0.1, 0.006))


def test_peak_and_energy_are_those_of_the_samples(stir):
    pulse = inversion_pulse(stir)
    b1_ut = np.abs(pulse.b1_hz) / 42.577478461
    assert (pulse.peak_b1_ut, pulse.energy_ut2_s) == pytest.approx((b1_ut.max(), np.mean(b1_ut**2) * 0.01))
    assert 15 < pulse.peak_b1_ut < 16  # below that of the refocusing pulses
