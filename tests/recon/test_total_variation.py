"""Total variation: gradient and divergence are adjoint; the denoiser minimises what it says."""

import numpy as np
import pytest
import torch

from knerve.recon.total_variation import divergence, gradient, variation_step


def test_divergence_is_minus_the_adjoint_of_the_gradient(check_adjoint):
    dims = (-3, -1)
    shape = (2, 6, 1, 7)
    check_adjoint(lambda x: gradient(x, dims), lambda f: -divergence(f, dims), shape, (2, *shape))


def test_no_weight_changes_nothing(randn):
    image = randn((1, 8, 8))
    denoised, _ = variation_step(image, torch.zeros(1, 1, 1), (-2, -1))
    torch.testing.assert_close(denoised, image)


@pytest.mark.parametrize("weight", [0.1, 0.8])
def test_warm_started_denoiser_reaches_the_minimum(weight, randn):
    image = randn((1, 16, 12)) + 3 * torch.ones(1, 16, 12)
    dual = None
    for _ in range(1500):
        denoised, dual = variation_step(image, torch.full((1, 1, 1), weight), (-2, -1), dual)

    def objective(x):
        differences = gradient(torch.as_tensor(x), (-2, -1))
        return 0.5 * float((torch.as_tensor(x) - image).abs().square().sum()) + weight * float(
            torch.linalg.vector_norm(differences, dim=0).sum()
        )

    oracle = _dual_ascent(image.numpy()[0], weight)
    assert objective(denoised) <= objective(oracle[None]) * 1.001
    np.testing.assert_allclose(denoised[0].numpy(), oracle, atol=0.05)


def _dual_ascent(image, weight):
    """Plain projected gradient on the dual, many steps: slow and obvious."""
    field = np.zeros((2, *image.shape), image.dtype)
    for _ in range(4000):
        primal = image + weight * sum(f - np.roll(f, 1, a) for a, f in enumerate(field))
        field = field + np.stack([np.roll(primal, -1, a) - primal for a in (0, 1)]) / (8 * weight)
        field = field / np.maximum(1, np.sqrt((np.abs(field) ** 2).sum(0)))
    return image + weight * sum(f - np.roll(f, 1, a) for a, f in enumerate(field))
