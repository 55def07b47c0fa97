"""The fused step of total variation, against the plain one."""

import numpy as np
import pytest
import torch

from knerve.gpu.image_update import Update
from knerve.gpu.lanes import LANES
from knerve.gpu.variation_kernel import VariationStep
from knerve.recon.total_variation import variation_step


def planes_of(image, n_rows):
    """Image (set, x, y) as planes (set, 2, row, y)."""
    planes = np.zeros((len(image), 2, n_rows, image.shape[2]), np.float32)
    planes[:, 0, : image.shape[1]], planes[:, 1, : image.shape[1]] = image.real, image.imag
    return planes


def image_of(planes, n_x):
    return torch.from_numpy(planes[:, 0, :n_x] + 1j * planes[:, 1, :n_x])


@pytest.mark.parametrize(("n_sets", "n_x", "n_y"), [(1, 16, 16), (2, 21, 37), (1, 3, 1), (1, 450, 20)])
@pytest.mark.parametrize("weight", [0.3, 5.0])
def test_equals_the_plain_step(n_sets, n_x, n_y, weight):
    generator = torch.Generator().manual_seed(n_x)
    drawn = [torch.randn(n_sets, n_x, n_y, generator=generator, dtype=torch.complex64) for _ in range(5)]
    n_rows = -(-n_x // LANES) * LANES
    x, before = (planes_of(image, n_rows) for image in drawn[:2])
    kernel, dual = VariationStep(n_x, x.shape), None
    for image in drawn[2:]:  # the dual field goes from call to call
        mean, target = np.ones_like(x), np.zeros_like(x)
        uphill = kernel(planes_of(image, n_rows), weight, Update(x, before, 0.6, target, mean, 0.25))
        expected, dual = variation_step(image, torch.tensor(weight), (-2, -1), dual)
        torch.testing.assert_close(image_of(target, n_x), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(image_of(mean, n_x), 0.25 * expected + 1 + 1j, rtol=1e-5, atol=1e-5)
        z = drawn[0] + 0.6 * (drawn[0] - drawn[1])
        slope = float(torch.linalg.vecdot((z - expected).flatten(), (expected - drawn[0]).flatten()).real)
        assert uphill == pytest.approx(slope, rel=1e-4, abs=1e-3)


def test_does_not_depend_on_the_number_of_threads():
    generator = np.random.default_rng(0)
    image, x, before = (generator.standard_normal((1, 2, 512, 50)).astype(np.float32) for _ in range(3))
    targets = []
    n_before = torch.get_num_threads()
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        kernel, target = VariationStep(512, image.shape), np.zeros_like(image)
        for _ in range(2):
            kernel(image, 0.5, Update(x, before, 0.5, target, np.zeros_like(x), 0.5))
        targets.append(target)
    torch.set_num_threads(n_before)
    assert np.array_equal(*targets)
