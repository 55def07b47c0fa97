"""The matrices whose eigenvectors are the sensitivities, against their definition."""

import math

import numpy as np
import pytest
import torch

from knerve.recon.coarse_maps import MARGIN, NEGLIGIBLE, CoarseGrid, coarse_eigenvectors, coarse_grid, lag_sums
from knerve.recon.patch_subspace import signal_projector


def random_projector(kernel, n_coils, rank, randn):
    basis = torch.linalg.qr(randn((math.prod(kernel) * n_coils, rank)))[0]
    return (basis @ basis.mH).reshape(2 * (*kernel, n_coils))


def test_lag_sums_add_up_all_pairs(randn):
    kernel, n_coils = (3, 2), 4
    projector = random_projector(kernel, n_coils, 5, randn)
    expected = torch.zeros(5, 3, n_coils, n_coils, dtype=torch.complex64)
    for a in range(3):
        for b in range(2):
            for c in range(3):
                for d in range(2):
                    expected[c - a + 2, d - b + 1] += projector[a, b, :, c, d, :]
    torch.testing.assert_close(lag_sums(projector), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "grid", "fov"), [((3, 4), (10, 9), (1.0, 0.5)), ((2, 3, 2), (5, 6, 17), (1.0, 1.0, 0.5))]
)
def test_eigenvectors_are_those_of_the_definition(kernel, grid, fov, randn):
    n_coils = 5
    projector = random_projector(kernel, n_coils, 6, randn)
    vectors, values = coarse_eigenvectors(projector, grid, fov, 2)
    places = torch.cartesian_prod(*(torch.arange(k) for k in kernel)).double()
    points = torch.cartesian_prod(*((torch.arange(n) - n // 2) / (n * f) for n, f in zip(grid, fov, strict=True)))
    lags = places[None, :, :] - places[:, None, :]  # j - i
    waves = torch.exp(-2j * math.pi * torch.tensordot(points.double(), lags, dims=([1], [2])))  # (point, i, j)
    flat = projector.reshape(len(places), n_coils, len(places), n_coils).to(torch.complex128)
    q = torch.einsum("pij,icjd->pcd", waves, flat) / len(places)
    exact_values, exact_vectors = torch.linalg.eigh(q)
    found, expected = values[..., 0].flatten(), exact_values[:, -1].float()
    wanted = expected > NEGLIGIBLE[0]
    torch.testing.assert_close(found[wanted], expected[wanted], atol=1e-3, rtol=0)
    assert bool((found >= expected - 1e-3).all())
    clear = wanted & (exact_values[:, -2] < 0.8 * exact_values[:, -1])
    overlap = (vectors[..., 0].reshape(-1, n_coils).conj() * exact_vectors[..., -1]).sum(-1).abs()
    assert int(clear.sum()) > 5
    assert float(overlap[clear].min()) > 1 - 1e-5
    assert bool((values[..., 1].flatten() >= exact_values[:, -2] - 1e-2).all())


def test_the_coarse_grid_is_no_finer_than_the_image():
    assert coarse_grid((484, 30), (6, 6), (1.0, 1.0)) == CoarseGrid((72, 30), (1.0, 1.0))


def test_the_coarse_grid_reaches_beyond_an_image_that_was_cut_out_of_a_wider_one():
    grid = coarse_grid((484, 552), (6, 6), (1.0, 2.0))
    assert grid.sides == (72, 72 + MARGIN)
    x = (np.arange(72 + MARGIN) - (72 + MARGIN) // 2) / ((72 + MARGIN) * grid.fov[1])
    assert np.allclose(np.diff(x), 1 / (72 * 2.0))
    assert grid.reach == pytest.approx((72 + MARGIN) / 72)


def test_an_empty_projector_has_no_eigenvalues():
    projector = signal_projector(torch.zeros(3, 10, 12, dtype=torch.complex64), (3, 3))
    vectors, values = coarse_eigenvectors(projector, (8, 9), (1.0, 1.0), 2)
    assert vectors.shape == (8, 9, 3, 2)
    assert not bool(values.any())
