"""Point spread functions against closed forms, and the table of the facts."""

from __future__ import annotations

import numpy as np
import pytest

from knerve.sequences.blur import NOT_SAMPLED, blur, point_spread, signal_along_ky
from knerve.sequences.epg import tse_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.profile_width import full_width_half_maximum
from knerve.sequences.refocusing_trains import constant_train

N_LINES = 485
VOXEL_MM = 0.33
# nerve with T2 45 ms, nerve with 65 ms, muscle, cartilage, fat, fluid
T1_S = [1.4, 1.4, 1.42, 1.24, 0.371, 3.62]
T2_S = [0.045, 0.065, 0.0317, 0.0369, 0.133, 0.767]


def linear_order(etl, centre_echo):
    segment = np.arange(N_LINES) * etl // N_LINES
    return (segment - segment[N_LINES // 2] + centre_echo) % etl


def low_high_order(etl):
    rank = np.argsort(np.argsort(np.abs(np.arange(N_LINES) - N_LINES // 2), kind="stable"), kind="stable")
    return rank * etl // N_LINES


@pytest.mark.parametrize("n_lines", [64, 485])
def test_even_signal(n_lines):
    result = blur(np.ones((1, 4)), np.arange(n_lines) % 4, 0.5)
    assert result.fwhm_mm[0] == pytest.approx(1.2067 * 0.5, rel=1e-3)
    assert result.side_lobe_energy[0] == pytest.approx(0.0972, abs=1e-3)


@pytest.mark.parametrize("decay_per_line", [0.05, 0.1])
def test_exponential_decays_have_their_closed_forms(decay_per_line):
    n_lines = 2001
    k = np.arange(n_lines) - n_lines // 2
    two_sided, one_sided = np.exp(-decay_per_line * abs(k)), np.where(k >= 0, np.exp(-decay_per_line * k), 0)
    curves, step = point_spread(np.stack([two_sided, one_sided]))
    widths = full_width_half_maximum(np.abs(curves), step / n_lines)  # in fields of view
    # Lorentzian 2a/(a² + (2πx)²), and |1/(a + 2πix)|
    np.testing.assert_allclose(widths, [decay_per_line / np.pi, np.sqrt(3) * decay_per_line / np.pi], rtol=5e-3)


@pytest.mark.parametrize(
    ("order", "angle_deg", "expected"),
    [
        (linear_order(15, 7), 180, [0.58, 0.48, 0.82, 0.70, 0.42, 0.40]),
        (linear_order(15, 7), 120, [0.53, 0.46, 0.70, 0.61, 0.42, 0.40]),
        (low_high_order(15), 180, [0.71, 0.58, 0.93, 0.82, 0.47, 0.41]),
    ],
    ids=["linear 180", "linear 120", "low-high"],
)
def test_width_of_every_tissue(order, angle_deg, expected):
    echoes = tse_echoes(T1_S, T2_S, constant_train(15, angle_deg), 9.39e-3).amplitude[:, 0]
    np.testing.assert_allclose(blur(echoes, order, VOXEL_MM).fwhm_mm, expected, atol=0.006)


def test_a_narrow_point_pays_with_side_lobes():
    echoes = tse_echoes(T1_S, T2_S, constant_train(15, 180), 9.39e-3).amplitude[:, 0]
    late_centre = blur(echoes, 14 - low_high_order(15), VOXEL_MM)
    assert np.all(late_centre.fwhm_mm < 1.2067 * VOXEL_MM)
    assert np.all(late_centre.side_lobe_energy > 0.097)


def test_lines_left_out_take_the_echo_of_the_nearest_line():
    order = np.array([NOT_SAMPLED, 0, NOT_SAMPLED, NOT_SAMPLED, NOT_SAMPLED, 1, NOT_SAMPLED, 2, NOT_SAMPLED])
    signal = signal_along_ky(np.array([[10.0, 20.0, 30.0]]), order)
    assert signal[0].real.tolist() == [10, 10, 10, 10, 20, 20, 20, 30, 30]
    assert signal_along_ky(np.array([[5.0]]), np.array([NOT_SAMPLED, 0, NOT_SAMPLED]))[0].real.tolist() == [5, 5, 5]


def test_impossible_orders_are_refused():
    with pytest.raises(ProtocolError, match="No line of k-space is sampled"):
        blur(np.ones((1, 3)), np.full(8, NOT_SAMPLED), 1.0)
    with pytest.raises(ProtocolError, match="echoes 0 to 3, but the train has echoes 0 to 2"):
        blur(np.ones((1, 3)), np.arange(4), 1.0)


def test_width_between_samples_and_of_a_curve_that_does_not_fall():
    assert full_width_half_maximum(np.array([0.0, 1.0, 0.0]), 2.0) == pytest.approx(2.0)
    assert np.isnan(full_width_half_maximum(np.array([1.0, 1.0, 1.0]), 1.0))
