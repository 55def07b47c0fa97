"""Interpolation, mask and norm in one pass, against the plain steps one after the other."""

import pytest
import torch

from knerve.gpu.map_interpolation import PIXELS_AT_ONCE, interpolate_maps, interpolate_maps_plain

BAND = (0.3, 0.7)


def coarse_rows(n_coarse, n_coils, n_pixels):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(n_coarse, 2 * n_coils + 1, n_pixels, generator=generator)
    rows[:, -1] = torch.rand(n_coarse, n_pixels, generator=generator) * 1.4 - 0.2  # eigenvalues, some beyond 0 and 1
    return rows


def taps(n_fine, n_coarse):
    generator = torch.Generator().manual_seed(2)
    return torch.randint(n_coarse, (n_fine, 4), generator=generator), torch.rand(n_fine, 4, generator=generator)


@pytest.mark.parametrize(("n_coils", "n_pixels"), [(1, 5), (3, 37), (4, PIXELS_AT_ONCE + 9)])
def test_equals_the_plain_version(n_coils, n_pixels):
    rows = coarse_rows(9, n_coils, n_pixels)
    neighbours, weights = taps(40, 9)
    maps = torch.full((40, 1, n_coils, n_pixels), torch.nan, dtype=torch.complex64)
    values = torch.full((40, 1, n_pixels), torch.nan)
    interpolate_maps(rows, neighbours, weights, BAND, maps, values, 0)
    plain_maps, plain_values = interpolate_maps_plain(rows, neighbours, weights, BAND)
    torch.testing.assert_close(maps[:, 0], plain_maps, atol=2e-6, rtol=2e-5)
    torch.testing.assert_close(values[:, 0], plain_values, atol=1e-6, rtol=0)


def test_unit_norm_where_the_eigenvalue_is_high_and_nothing_where_it_is_low():
    rows = coarse_rows(4, 3, 6)
    rows[:, -1, :3], rows[:, -1, 3:] = 0.9, 0.1
    neighbours = torch.arange(4)[:, None].expand(-1, 4).contiguous()
    weights = torch.tensor([0.0, 1.0, 0.0, 0.0]).expand(4, -1).contiguous()
    maps, values = torch.zeros(4, 1, 3, 6, dtype=torch.complex64), torch.zeros(4, 1, 6)
    interpolate_maps(rows, neighbours, weights, BAND, maps, values, 0)
    norm = torch.linalg.vector_norm(maps[:, 0], dim=1)
    torch.testing.assert_close(norm[:, :3], torch.ones(4, 3))
    assert not bool(norm[:, 3:].any())


def test_fills_the_set_that_was_asked_for():
    rows = coarse_rows(9, 2, 20)
    neighbours, weights = taps(40, 9)
    maps, values = torch.zeros(40, 2, 2, 20, dtype=torch.complex64), torch.zeros(40, 2, 20)
    interpolate_maps(rows, neighbours, weights, BAND, maps, values, 1)
    assert not bool(maps[:, 0].any())
    assert not bool(values[:, 0].any())
    alone, alone_values = torch.zeros(40, 1, 2, 20, dtype=torch.complex64), torch.zeros(40, 1, 20)
    interpolate_maps(rows, neighbours, weights, BAND, alone, alone_values, 0)
    assert torch.equal(maps[:, 1], alone[:, 0])
    assert torch.equal(values[:, 1], alone_values[:, 0])
