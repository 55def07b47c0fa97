"""Echoes of the phase graph against closed forms, against isochromats that know no phase graph, and against BART."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from knerve.sequences.epg import EXCITATION_PHASE_RAD, Preparation, rf_operator, shot_response, steady_state, tse_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.refocusing_trains import constant_train, hyperecho_train, traps_train

ESP_S = 9.39e-3
NERVE = ([1.4], [0.0446])
TRAINS = {
    "180": constant_train(15, 180),
    "ramped 120": constant_train(15, 120, ramp=True),
    "traps": traps_train(15, 7),
    "hyperecho": hyperecho_train([60, 100, 20, 150, 90]),
    "even": constant_train(18, 75),
    "one": constant_train(1, 150),
}


def rotated(m, axis, angle_rad):
    """Rodrigues: isochromats (3, spin) about an axis, right-handed."""
    axis = np.asarray(axis, dtype=float)[:, None]
    along = axis * np.sum(axis * m, axis=0)
    return along + np.cos(angle_rad) * (m - along) + np.sin(angle_rad) * np.cross(axis, m, axis=0)


def ring_of_isochromats(t1_s, t2_s, train_deg, esp_s, repetition_time_s=np.inf, b1=1.0, n_shots=1, inversion=None):
    """Bloch: spins dephased equally over a full turn per half spacing, shot after shot; gradients spoil between shots."""
    n_spins = 4 * len(train_deg) + 8
    winding = 2 * np.pi * np.arange(n_spins) / n_spins

    def wait(m, seconds):
        e1, e2 = np.exp(-seconds / t1_s), np.exp(-seconds / t2_s)
        return np.stack([m[0] * e2, m[1] * e2, 1 + (m[2] - 1) * e1])

    mz = 1.0
    for _ in range(n_shots):
        if inversion:
            mz = 1 + (-inversion[0] * mz - 1) * np.exp(-inversion[1] / t1_s)
        m = np.zeros((3, n_spins))
        m[2] = mz
        m = rotated(m, [0, 1, 0], b1 * np.pi / 2)
        echoes = []
        for angle_deg in train_deg:
            m = rotated(wait(m, esp_s / 2), [0, 0, 1], winding)
            m = rotated(m, [1, 0, 0], b1 * np.deg2rad(angle_deg))
            m = rotated(wait(m, esp_s / 2), [0, 0, 1], winding)
            echoes.append(m[0].mean() + 1j * m[1].mean())
        rest_s = repetition_time_s - len(train_deg) * esp_s - (inversion[1] if inversion else 0)
        mz = 1 + (m[2].mean() - 1) * np.exp(-rest_s / t1_s)
    return np.array(echoes)


@pytest.mark.parametrize("train", TRAINS.values(), ids=TRAINS)
@pytest.mark.parametrize("b1", [1.0, 0.83])
def test_equals_isochromats(train, b1):
    echoes = tse_echoes([1.42, 0.371], [0.0317, 0.133], train, ESP_S, b1=[1.1, b1]).amplitude
    for tissue, (t1_s, t2_s) in enumerate([(1.42, 0.0317), (0.371, 0.133)]):
        np.testing.assert_allclose(echoes[tissue, 1], ring_of_isochromats(t1_s, t2_s, train, ESP_S, b1=b1), atol=1e-12)


@pytest.mark.parametrize("inversion", [None, (0.95, 0.22)])
@pytest.mark.parametrize("b1", [1.0, 0.8])
def test_steady_state_equals_many_shots(inversion, b1):
    preparation = Preparation(-inversion[0], inversion[1]) if inversion else None
    train = constant_train(12, 130)
    echoes = tse_echoes(*NERVE, train, ESP_S, repetition_time_s=0.5, b1=[b1], preparation=preparation)
    shots = ring_of_isochromats(1.4, 0.0446, train, ESP_S, 0.5, b1, n_shots=40, inversion=inversion)
    np.testing.assert_allclose(echoes.amplitude[0, 0], shots, atol=1e-12)


def test_a_train_of_180_is_pure_t2_decay():
    echoes = tse_echoes([0.9, 2.0], [0.05, 0.3], constant_train(20, 180), ESP_S).amplitude[:, 0]
    times = ESP_S * np.arange(1, 21)
    np.testing.assert_allclose(echoes, np.exp(-times / np.array([[0.05], [0.3]])), atol=1e-14)


def test_no_relaxation_and_180_keeps_everything():
    echoes = tse_echoes([np.inf], [np.inf], constant_train(31, 180), ESP_S).amplitude
    np.testing.assert_allclose(echoes, 1, atol=1e-13)


@pytest.mark.parametrize("angle_deg", [30, 60, 90, 120, 150])
def test_first_echoes_have_their_closed_form(angle_deg):
    # Hennig 1988 without relaxation: sin²(α/2) at the first echo, then sin⁴(α/2) + sin²(α)/2
    half = np.deg2rad(angle_deg) / 2
    first, second = tse_echoes([np.inf], [np.inf], constant_train(2, angle_deg), ESP_S).amplitude[0, 0]
    assert first == pytest.approx(np.sin(half) ** 2, abs=1e-14)
    assert second == pytest.approx(np.sin(half) ** 4 + np.sin(2 * half) ** 2 / 2, abs=1e-14)


@pytest.mark.parametrize("angle_deg", [60, 120])
def test_constant_angle_reaches_its_pseudo_steady_state(angle_deg):
    # spins of winding θ keep what lies along their axis, n_x² = sin²(α/2) / (1 - cos²(α/2) cos²θ): sin(α/2) on average
    echoes = tse_echoes([np.inf], [np.inf], constant_train(400, angle_deg), ESP_S).amplitude[0, 0].real
    assert echoes[-40:].mean() == pytest.approx(np.sin(np.deg2rad(angle_deg) / 2), abs=1e-5)


@pytest.mark.parametrize("angles", [[90], [60, 100, 20], [150, 120, 90, 60, 45, 30]])
@pytest.mark.parametrize("excitation_deg", [90, 40])
def test_hyperecho_returns_the_whole_magnetisation(angles, excitation_deg):
    train = hyperecho_train(angles)
    assert len(train) == 2 * len(angles) + 1
    last = tse_echoes([np.inf], [np.inf], train, ESP_S, excitation_deg=excitation_deg).amplitude[0, 0, -1]
    assert abs(last) == pytest.approx(np.sin(np.deg2rad(excitation_deg)), abs=1e-13)


def test_no_echo_exceeds_the_magnetisation():
    rng = np.random.default_rng(5)
    for _ in range(20):
        train = rng.uniform(-180, 180, 16)
        echoes = np.abs(tse_echoes([2.0, 0.3], [0.5, 0.02], train, ESP_S, b1=[0.7, 1.2]).amplitude)
        assert np.all(echoes <= 1 + 1e-12)


@pytest.mark.parametrize("n_echoes", [1, 2, 3, 17])
def test_dropping_orders_that_cannot_return_is_exact(n_echoes, monkeypatch):
    arguments = (*NERVE, traps_train(17, 8)[:n_echoes], ESP_S)
    lean = tse_echoes(*arguments, repetition_time_s=1.0, b1=[0.9])
    monkeypatch.setattr("knerve.sequences.epg._orders_that_matter", lambda pulse, _: 2 * pulse + 2)
    full = tse_echoes(*arguments, repetition_time_s=1.0, b1=[0.9])
    np.testing.assert_allclose(lean.amplitude, full.amplitude, atol=1e-15)
    np.testing.assert_allclose(lean.mz, full.mz, atol=1e-15)


def test_saturation_recovers_with_t1():
    # nothing is left after the 90; what recovers until the 180 is inverted by it
    t1_s, tr_s = 1.4, 2.0
    half, rest = np.exp(-ESP_S / 2 / t1_s), np.exp(-(tr_s - ESP_S) / t1_s)
    at_echo = 1 - half - (1 - half) * half
    expected = 1 - rest + at_echo * rest
    assert tse_echoes([t1_s], [0.05], [180], ESP_S, repetition_time_s=tr_s).mz[0, 0] == pytest.approx(
        expected, abs=1e-14
    )


def test_restoring_the_last_echo_helps_long_t2_at_short_tr():
    fluid = ([3.6], [0.77])
    driven = tse_echoes(*fluid, constant_train(8, 180), ESP_S, repetition_time_s=1.0, restore=True)
    saturated = tse_echoes(*fluid, constant_train(8, 180), ESP_S, repetition_time_s=1.0)
    train_s = 8 * ESP_S
    carried = np.exp(-train_s / 0.77) * np.exp(-(1.0 - train_s) / 3.6)
    np.testing.assert_allclose(driven.mz * (1 - carried), saturated.mz, atol=1e-12)
    assert driven.mz[0, 0] > 3 * saturated.mz[0, 0]


def test_operators_are_the_textbook_matrix():
    alpha, phi = 1.1, 0.4
    c, s, sin = np.cos(alpha / 2) ** 2, np.sin(alpha / 2) ** 2, np.sin(alpha)
    turn = np.exp(1j * phi)
    expected = [
        [c, turn**2 * s, -1j * turn * sin],
        [s / turn**2, c, 1j / turn * sin],
        [-0.5j / turn * sin, 0.5j * turn * sin, np.cos(alpha)],
    ]
    np.testing.assert_allclose(rf_operator(alpha, phi), expected, atol=1e-15)


@pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not installed")
@pytest.mark.parametrize("b1", [1.0, 0.7])
def test_equals_bart(tmp_path, b1):
    n_echoes = 15
    names = ["-C", "-1", "1.4", "-2", "0.0446", "-e", str(ESP_S), "-b", str(b1), "-n", str(n_echoes)]
    subprocess.run(["bart", "epg", *names, "out"], cwd=tmp_path, check=True, capture_output=True)
    bart = np.fromfile(tmp_path / "out.cfl", dtype=np.complex64)[:n_echoes]
    ours = tse_echoes(*NERVE, constant_train(n_echoes, 180), ESP_S, b1=[b1]).amplitude[0, 0]
    np.testing.assert_allclose(np.abs(ours), np.abs(bart), atol=1e-6)


def test_wrong_input_is_refused():
    with pytest.raises(ProtocolError, match=r"TR 0\.1 s is too short.*need 0\.1409 s at least") as refused:
        tse_echoes(*NERVE, constant_train(15, 180), ESP_S, repetition_time_s=0.1)
    assert refused.value.nearest == pytest.approx(15 * ESP_S)
    with pytest.raises(ProtocolError, match="must be positive"):
        tse_echoes([1.0], [0.0], [180], ESP_S)
    with pytest.raises(ProtocolError, match="one of each per tissue"):
        tse_echoes([1.0, 2.0], [0.1], [180], ESP_S)
    with pytest.raises(ProtocolError, match=r"echo spacing is -1.0 s"):
        tse_echoes(*NERVE, [180], -1.0)


def test_the_response_of_a_shot_predicts_its_steady_state():
    excitation, refocusing = rf_operator(np.array([1.4]), EXCITATION_PHASE_RAD), rf_operator(np.full((6, 1), 2.0))
    shot = shot_response(*NERVE, excitation, refocusing, ESP_S)
    mz = steady_state(shot, [1.4], 6 * ESP_S, 0.8).mz
    after = 1 + (shot.carried * mz + shot.recovered - 1) * np.exp(-(0.8 - 6 * ESP_S) / 1.4)
    np.testing.assert_allclose(after, mz, atol=1e-14)
