"""Echoes of the phase graph against three phase graphs of others: epyg, BART and blochsim."""

from __future__ import annotations

import subprocess
from importlib import import_module

import numpy as np
import pytest

from knerve.sequences.epg import tse_echoes
from knerve.sequences.refocusing_trains import constant_train, hyperecho_train, traps_train

ESP_S = 9.39e-3
T1_S, T2_S = 1.4, 0.0446
TRAINS = {
    "180": constant_train(15, 180),
    "ramped 120": constant_train(15, 120, ramp=True),
    "traps": traps_train(15, 7),
    "hyperecho": hyperecho_train([60, 100, 20, 150, 90]),
}

every_train = pytest.mark.parametrize("train", TRAINS.values(), ids=TRAINS)
every_b1 = pytest.mark.parametrize("b1", [1.0, 0.7, 1.2])


def ours(train, b1=1.0, t1_s=T1_S, t2_s=T2_S, repetition_time_s=np.inf):
    return tse_echoes([t1_s], [t2_s], train, ESP_S, b1=[b1], repetition_time_s=repetition_time_s).amplitude[0, 0]


def echoes_of_epyg(operators, train, b1, half_over_t1=ESP_S / 2 / T1_S, half_over_t2=ESP_S / 2 / T2_S):
    state = import_module("epyg.EpyG").epg(initial_size=4 * len(train) + 8)
    relax, shift = operators.Epsilon(half_over_t1, half_over_t2), operators.Shift(compact=0)
    state = operators.Transform(b1 * np.pi / 2, -np.pi / 2) * state  # it turns the other way round
    echoes = []
    for angle_deg in train:
        refocus = operators.Transform(b1 * np.deg2rad(angle_deg), 0.0)
        for operator in (relax, shift, refocus, relax, shift):
            state = operator * state
        echoes.append(complex(state.get_f(0)))
    return np.array(echoes)


@every_train
@every_b1
def test_equals_epyg(epyg, train, b1):
    np.testing.assert_allclose(ours(train, b1), echoes_of_epyg(epyg, train, b1), rtol=0, atol=1e-12)


def test_the_hyperecho_of_epyg_returns_everything_too(epyg):
    train = hyperecho_train([60, 100, 20, 150, 90])
    theirs = echoes_of_epyg(epyg, train, 1.0, 0.0, 0.0)
    np.testing.assert_allclose(ours(train, t1_s=np.inf, t2_s=np.inf), theirs, rtol=0, atol=1e-12)
    assert abs(theirs[-1]) == pytest.approx(1, abs=1e-12)


def echoes_of_bart(bart, folder, n_echoes, *options):
    words = ["-1", str(T1_S), "-2", str(T2_S), "-e", str(ESP_S), "-n", str(n_echoes), *options]
    subprocess.run([bart, "epg", *words, "echoes"], cwd=folder, check=True, capture_output=True)
    return np.fromfile(folder / "echoes.cfl", dtype=np.complex64)[:n_echoes]


@every_b1
def test_equals_bart(bart, tmp_path, b1):
    """BART plays 90 and 180 degrees, both scaled by B1."""
    theirs = echoes_of_bart(bart, tmp_path, 15, "-C", "-b", str(b1))
    np.testing.assert_allclose(np.abs(ours(TRAINS["180"], b1)), np.abs(theirs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("angle_deg", [30, 60, 120])
def test_equals_the_hyperecho_of_bart(bart, tmp_path, angle_deg):
    train = hyperecho_train([angle_deg] * 5)
    theirs = echoes_of_bart(bart, tmp_path, 11, "-H", "-f", str(angle_deg))
    np.testing.assert_allclose(np.abs(ours(train)), np.abs(theirs), rtol=0, atol=1e-6)


def echoes_of_blochsim(simulators, train, b1, repetition_time_s):
    simulator = simulators.FSESimulator(
        flip=np.array(train), ESP=ESP_S * 1e3, TR=repetition_time_s * 1e3, states=2 * len(train) + 2, repetitions=4
    )
    return np.asarray(simulator.simulate(T1=T1_S * 1e3, T2=T2_S * 1e3, B1=b1)).ravel()


@every_train
@every_b1
def test_equals_blochsim(blochsim, train, b1):
    """Its states are in single precision."""
    theirs = echoes_of_blochsim(blochsim, train, b1, 1e3)
    np.testing.assert_allclose(ours(train, b1), theirs, rtol=0, atol=1e-6)


@every_train
def test_what_survives_the_repetition_time_is_small(blochsim, train):
    """Dephased Z is left out between our shots; blochsim keeps it."""
    theirs = echoes_of_blochsim(blochsim, train, 1.0, 3.0)
    np.testing.assert_allclose(ours(train, repetition_time_s=3.0), theirs, rtol=0, atol=3e-4)
