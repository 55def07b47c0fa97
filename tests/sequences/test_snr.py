"""Relative SNR: the laws that it must obey, and the planning scan beside the navigating one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.snr import SnrTerms, relative_snr

NAVIGATE = SnrTerms(voxel_mm=(0.29, 0.33), thickness_mm=3.0, n_lines=162, n_averages=1, readout_s=4.42e-3)


def test_planning_beside_navigating():
    assert relative_snr(replace(NAVIGATE, thickness_mm=2.5, n_averages=3), NAVIGATE) == pytest.approx(1.44, abs=0.005)


def test_laws():
    assert relative_snr(replace(NAVIGATE, readout_s=2 * 4.42e-3), NAVIGATE) == pytest.approx(2**0.5)
    assert relative_snr(replace(NAVIGATE, n_lines=324), replace(NAVIGATE, n_averages=2)) == pytest.approx(1)
    assert relative_snr(replace(NAVIGATE, g_factor=1.5), NAVIGATE) == pytest.approx(1 / 1.5)
    assert relative_snr(replace(NAVIGATE, field_t=1.5), NAVIGATE) == pytest.approx(0.5)
    assert relative_snr(replace(NAVIGATE, signal=0.2), NAVIGATE) == pytest.approx(0.2)


def test_nothing_to_compare_is_refused():
    with pytest.raises(ProtocolError, match="SNR of the reference is 0"):
        relative_snr(NAVIGATE, replace(NAVIGATE, signal=0.0))
