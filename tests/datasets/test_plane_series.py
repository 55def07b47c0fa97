"""What writers get: pixels, planes and window of one series agree with each other, in 2-D and in 3-D."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from knerve.datasets.plane_series import plane_series
from knerve.recon.images import ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader


def _series(shape: tuple[int, ...], *, noise: bool = True) -> ImageSeries:
    values = torch.linspace(1, 100, int(np.prod(shape))).reshape(shape)
    nz = shape[1] if len(shape) == 4 else 1
    fov = (float(shape[-1]), float(shape[-2]), float(nz))
    return ImageSeries(
        image=torch.polar(values, values),
        frames=tuple(Frame(slice=i) for i in range(shape[0])),
        grid=Grid((shape[-1], shape[-2], nz), fov, (shape[-1], shape[-2], nz), fov),
        header=ScanHeader(),
        method="cs",
        noise=NoiseReport("noise readouts", 100, (1.0,), 0.1),
        acceleration=1.0,
        noise_level=torch.full(shape, 10.0) if noise else None,
    )


@pytest.mark.parametrize("shape", [(3, 6, 8), (2, 4, 6, 8)])
def test_one_plane_for_every_2d_image(shape: tuple[int, ...]) -> None:
    images = _series(shape)
    series = plane_series(images)
    n_planes = int(np.prod(shape[:-2]))
    assert len(series.planes) == n_planes
    np.testing.assert_array_equal(series.pixels, images.magnitude.numpy().reshape(n_planes, 6, 8))
    assert series.snr is not None
    np.testing.assert_allclose(series.snr, series.pixels / 10)
    last = series.planes[-1]
    assert (last.entry, last.partition) == (shape[0] - 1, shape[1] - 1 if len(shape) == 4 else 0)


def test_object_is_above_the_window_and_the_noise() -> None:
    series = plane_series(_series((3, 6, 8)))
    mask = series.object_mask()
    np.testing.assert_array_equal(mask, series.pixels > 40)  # four times the noise level
    np.testing.assert_array_equal(series.object_mask(1), mask[1])
    silent = plane_series(_series((3, 6, 8), noise=False))
    assert silent.snr is None
    np.testing.assert_array_equal(silent.object_mask(), silent.pixels > 0.1 * silent.window_top)
