"""Interpolation between grids is exact for what the grids can hold."""

import pytest
import torch

from knerve.recon.resampling import resample, resample_linear


def _wave(n, fov, cycles):
    position = (torch.arange(n) - n // 2) * (fov / n)
    return torch.polar(torch.ones(n), 2 * torch.pi * cycles * position / 100)


@pytest.mark.parametrize(
    ("n", "fov", "new_n", "new_fov"), [(20, 100, 32, 100), (20, 100, 31, 80), (40, 200, 33, 90), (32, 100, 24, 100)]
)
def test_plane_waves_are_interpolated_exactly(n, fov, new_n, new_fov):
    image = _wave(n, fov, 3)[None]
    found = resample(image, 1, fov, new_n, new_fov)
    torch.testing.assert_close(found[0], _wave(new_n, new_fov, 3), atol=1e-4, rtol=0)


def test_same_pixels_are_only_cropped(randn):
    image = randn((2, 20))
    assert torch.equal(resample(image, 1, 100, 10, 50), image[:, 5:15])


def test_larger_field_of_view_is_zero_outside(randn):
    found = resample(randn((1, 20)), 1, 100, 30, 150)
    assert not bool(found[0, :4].abs().any())
    wide = resample_linear(torch.ones(1, 20), 1, 100, 33, 150)
    assert float(wide[0, 0]) == 0
    assert float(wide[0, 16]) == pytest.approx(1)


def test_linear_interpolation_keeps_ramps():
    ramp = torch.arange(20.0)[None]
    found = resample_linear(ramp, 1, 100, 39, 97.5)
    torch.testing.assert_close(found[0, :-1].diff(), torch.full((37,), 0.5), atol=1e-5, rtol=0)
