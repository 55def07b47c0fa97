"""Trains of refocusing angles: their shape, their energy, and the signal that they keep."""

from __future__ import annotations

import numpy as np
import pytest

from knerve.sequences.epg import tse_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.refocusing_trains import constant_train, hyperecho_train, relative_energy, traps_train


def test_constant_train_with_a_ramp():
    assert constant_train(4, 120, ramp=True).tolist() == [150, 120, 120, 120]
    assert constant_train(2, 180).tolist() == [180, 180]


def test_traps_reaches_its_angles():
    train = traps_train(15, 7)
    assert (train[0], train[3], train[7], train[14]) == (150, 60, 120, 60)
    assert np.all((train >= 60) & (train <= 150))


@pytest.mark.parametrize(("n_echoes", "centre"), [(4, 3), (5, 3), (18, 17), (24, 12)])
def test_traps_is_highest_at_the_centre_after_its_start(n_echoes, centre):
    train = traps_train(n_echoes, centre)
    assert len(train) == n_echoes
    assert train[centre] == train[centre // 2 :].max() == 120
    assert train[centre // 2] == 60


def test_energy_relative_to_180():
    assert relative_energy(constant_train(15, 150)) == pytest.approx(0.694, abs=1e-3)
    assert relative_energy(constant_train(15, 120)) == pytest.approx(0.444, abs=1e-3)
    assert relative_energy(traps_train(15, 7)) < 0.31


def test_low_angles_store_the_signal_of_a_nerve():
    trains = [constant_train(15, 180), constant_train(15, 120), traps_train(15, 7)]
    at_te = [abs(tse_echoes([1.4], [0.045], train, 9.39e-3).amplitude[0, 0, 7]) for train in trains]
    np.testing.assert_allclose(at_te, [0.188, 0.215, 0.252], atol=1.5e-3)


def test_hyperecho_mirrors_with_the_opposite_sign():
    assert hyperecho_train([60, 100]).tolist() == [60, 100, 180, -100, -60]


def test_wrong_trains_are_refused():
    with pytest.raises(ProtocolError, match="0 echoes; it needs at least 1"):
        constant_train(0, 120)
    with pytest.raises(ProtocolError, match="angle of 200 degrees"):
        constant_train(3, 200)
    with pytest.raises(ProtocolError, match="index from 3 to 14"):
        traps_train(15, 1)
