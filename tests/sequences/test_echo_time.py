"""Echo times: of the centre of k-space, and of the plain spin echo with the same contrast."""

from __future__ import annotations

import numpy as np
import pytest

from knerve.sequences.echo_time import effective_echo_time_s, equivalent_echo_time_s
from knerve.sequences.epg import tse_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.refocusing_trains import constant_train, traps_train

ESP_S = 9.39e-3
T1_S, T2_S = np.array([1.4, 0.371]), np.array([0.0446, 0.133])


def equivalent(train):
    relaxing = tse_echoes(T1_S, T2_S, train, ESP_S).amplitude[:, 0]
    bare = tse_echoes([np.inf], [np.inf], train, ESP_S).amplitude[0, 0]
    return equivalent_echo_time_s(relaxing, bare, T2_S)


def test_first_echo_comes_after_one_spacing():
    assert effective_echo_time_s(7, 9.39e-3) == pytest.approx(75.12e-3)
    with pytest.raises(ProtocolError, match="first echo has the index 0"):
        effective_echo_time_s(-1, 9.39e-3)


def test_with_180_pulses_both_times_are_the_same():
    times = ESP_S * np.arange(1, 16)
    np.testing.assert_allclose(equivalent(constant_train(15, 180)), [times, times], rtol=1e-12)


def test_low_angles_make_the_contrast_of_an_earlier_echo():
    times = equivalent(traps_train(15, 7))
    assert np.all(times[0] <= ESP_S * np.arange(1, 16) + 1e-12)
    assert 0.05 < times[0, 7] < 0.065


def test_no_echo_has_no_equivalent():
    assert np.isnan(equivalent_echo_time_s(np.array([[0.0]]), np.array([0.0]), np.array([0.05]))).all()
