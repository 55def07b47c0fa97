"""Gradient lobes: their area, their limits, and that they are as gentle and as short as they can be."""

from __future__ import annotations

import numpy as np
import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.gradient_lobes import Limits, lobe, shortest_lobe, shortest_ramp
from knerve.sequences.quantities import GAMMA_HZ_PER_T

LIMITS = Limits(0.04 * GAMMA_HZ_PER_T, 150 * GAMMA_HZ_PER_T)
HEIGHT = 0.01 * GAMMA_HZ_PER_T


def area_of(shape):
    times, amplitudes = shape.points
    return np.trapezoid(amplitudes, times)


@pytest.mark.parametrize(("area", "start", "end"), [(1500, 0, 0), (-1500, 0, 0), (900, HEIGHT, 0), (100, 0, HEIGHT)])
def test_area_and_limits(area, start, end):
    shortest = shortest_lobe(area, start, end, LIMITS)
    for n_ticks in (shortest, shortest + 30):
        shape = lobe(area, start, end, n_ticks, LIMITS)
        times, amplitudes = shape.points
        assert area_of(shape) == pytest.approx(area)
        assert area_of(shape.backwards) == pytest.approx(area)
        assert times[-1] == pytest.approx(n_ticks * 1e-5)
        assert max(np.abs(amplitudes)) <= LIMITS.gradient * (1 + 1e-9)
        slew = [abs(amplitudes[at + 1] - amplitudes[at]) / (times[at + 1] - times[at]) for at in (0, 2)]
        assert max(slew) <= LIMITS.slew * (1 + 1e-9)


def test_the_shortest_is_the_shortest():
    n_ticks = shortest_lobe(1500, 0.0, 0.0, LIMITS)
    area_per_t, slew = 1500 / GAMMA_HZ_PER_T, 150
    expected_s = area_per_t / 0.04 + 0.04 / slew  # a trapezoid at both limits
    assert n_ticks == pytest.approx(expected_s / 1e-5, abs=1.5)
    with pytest.raises(ProtocolError, match=r"No gradient within the limits has an area of 1500 1/m in 1\.1"):
        lobe(1500, 0.0, 0.0, n_ticks - 1, LIMITS)
    assert shortest_lobe(1500, 0.0, 0.0, LIMITS, at_least=n_ticks + 7) == n_ticks + 7


def test_no_other_ramp_is_gentler():
    n_ticks, area = 140, 1500.0
    shape = lobe(area, 0.0, 0.0, n_ticks, LIMITS)

    def stress(ramp_ticks):
        plateau = area / ((n_ticks - ramp_ticks) * 1e-5)
        return max(plateau / LIMITS.gradient, plateau / (ramp_ticks * 1e-5) / LIMITS.slew)

    assert stress(round(shape.ramp_s / 1e-5)) == min(stress(ramp) for ramp in range(1, 70))


def test_ramps():
    assert shortest_ramp(0.03 * GAMMA_HZ_PER_T, LIMITS) == 20  # 0.2 ms exactly
    assert shortest_ramp(-0.0301 * GAMMA_HZ_PER_T, LIMITS) == 21
