"""Cubic interpolation between grids that share their origin."""

import pytest
import torch

from knerve.recon.interpolation import cubic_neighbours, interpolate_rows, interpolation_matrix


@pytest.mark.parametrize(("n_fine", "n_coarse"), [(60, 12), (61, 13), (50, 7)])
def test_smooth_periodic_fields_are_found_again(n_fine, n_coarse):
    fine, coarse = ((torch.arange(n) - n // 2) / n for n in (n_fine, n_coarse))
    found = interpolation_matrix(n_fine, n_coarse) @ torch.cos(2 * torch.pi * coarse + 0.3)
    torch.testing.assert_close(found, torch.cos(2 * torch.pi * fine + 0.3), atol=0.03, rtol=0)


def test_neighbours_and_matrix_agree_and_weights_sum_to_one():
    neighbours, weights = cubic_neighbours(30, 9)
    torch.testing.assert_close(weights.sum(1), torch.ones(30))
    values = torch.randn(9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((weights * values[neighbours]).sum(1), interpolation_matrix(30, 9) @ values)


def test_equal_grids_change_nothing():
    torch.testing.assert_close(interpolation_matrix(8, 8), torch.eye(8))
    neighbours, weights = cubic_neighbours(8, 8)
    torch.testing.assert_close(weights, torch.tensor([0.0, 1, 0, 0]).expand(8, 4))
    assert neighbours[:, 1].tolist() == list(range(8))


def test_rows_in_two_and_three_dimensions():
    coarse = torch.randn(3, 4, 5, 2, generator=torch.Generator().manual_seed(0))  # (z, y, x, value)
    matrices = [interpolation_matrix(6, 3), interpolation_matrix(9, 4)]
    rows = interpolate_rows(coarse, matrices)
    torch.testing.assert_close(rows, torch.einsum("az,by,zyxv->xvab", *matrices, coarse))
    torch.testing.assert_close(
        interpolate_rows(coarse[0], matrices[1:]), torch.einsum("by,yxv->xvb", matrices[1], coarse[0])
    )
