"""The fused wavelet shrinkage, against the transform that explains it."""

import numpy as np
import pytest
import torch

from knerve.gpu.image_update import Update
from knerve.gpu.lanes import LANES
from knerve.gpu.wavelet_kernel import WaveletShrinkage
from knerve.recon.sparsity import shrink_by_neighbours
from knerve.recon.wavelets import FILTERS, WaveletTransform


def planes(image):
    n_rows, n_sets, n = image.shape
    parts = np.zeros((n_sets, 2, -(-n_rows // LANES) * LANES, n), np.float32)
    parts[:, :, :n_rows] = torch.view_as_real(image).permute(1, 3, 0, 2).numpy()
    return parts


def plain(image, transform, shift, threshold):
    coefficients = transform.forward(image, shift)
    for band in transform.details(coefficients):
        band.copy_(shrink_by_neighbours(band, torch.tensor(threshold), transform.dims))
    return transform.adjoint(coefficients, shift)


@pytest.mark.parametrize("shift", [(0, 0), (1, 1), (5, 3)])
@pytest.mark.parametrize(
    ("name", "n_rows", "n_sets", "n"),
    [("haar", 33, 1, 40), ("db2", 70, 2, 100), ("db3", 65, 1, 91), ("db4", 130, 1, 144), ("db4", 64, 1, 300)],
)
def test_equals_the_plain_shrinkage(name, n_rows, n_sets, n, shift):
    generator = torch.Generator().manual_seed(n)
    image, x, before = (torch.randn(n_rows, n_sets, n, dtype=torch.complex64, generator=generator) for _ in range(3))
    transform = WaveletTransform.for_image(name, image.shape, (-3, -1))
    shift = tuple(side % transform.period for side in shift)
    expected = plain(image, transform, shift, 0.8)

    kernel = WaveletShrinkage(FILTERS[name], transform.levels, n_rows, transform.padded_sides, planes(image).shape)
    target, mean = np.zeros_like(planes(image)), np.ones_like(planes(image))
    for _ in range(2):  # what an earlier call left behind must not matter
        mean[:] = 1
        uphill = kernel(planes(image), shift, 0.8, Update(planes(x), planes(before), 0.6, target, mean, 0.25))
    n_used = n_rows
    assert np.abs(target - planes(expected)).max() < 3e-6
    assert np.abs(mean - 1 - 0.25 * planes(expected))[:, :, :n_used].max() < 1e-6
    z = x + 0.6 * (x - before)
    expected_uphill = float(((z - expected).conj() * (expected - x)).real.sum())
    assert uphill == pytest.approx(expected_uphill, rel=1e-5)


def test_does_not_depend_on_the_number_of_threads():
    image = torch.randn(200, 1, 180, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    results = []
    n_before = torch.get_num_threads()
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        zero, target = np.zeros_like(planes(image)), np.zeros_like(planes(image))
        kernel = WaveletShrinkage(FILTERS["db2"], 3, 200, (200, 184), zero.shape)
        uphill = kernel(planes(image), (3, 2), 0.5, Update(zero, zero, 0.0, target, zero.copy(), 1.0))
        results.append((uphill, target))
    torch.set_num_threads(n_before)
    assert results[0][0] == results[1][0]
    assert np.array_equal(results[0][1], results[1][1])


def test_everything_below_the_threshold_leaves_the_brightness():
    image = torch.full((32, 1, 32), 2 + 1j, dtype=torch.complex64)
    zero, target = np.zeros_like(planes(image)), np.zeros_like(planes(image))
    kernel = WaveletShrinkage(FILTERS["haar"], 1, 32, (32, 32), zero.shape)
    kernel(planes(image), (0, 0), 1e9, Update(zero, zero, 0.0, target, zero.copy(), 1.0))
    assert np.abs(target - planes(image)).max() < 1e-5
