"""Loop sensitivities against the textbook, and noise that neighbours share."""

from __future__ import annotations

import torch

from knerve.datasets.coil_array import LegArray, noise_mixing, on_raster


def grid(n: int = 41, reach: float = 60.0) -> torch.Tensor:
    return torch.linspace(-reach, reach, n, dtype=torch.float64)


def test_field_on_the_axis_of_a_loop_follows_the_closed_form() -> None:
    array = LegArray(n_coils=1, n_rings=1, segments_per_loop=400)
    x = grid()
    along = array.sensitivities(x, torch.zeros(1, dtype=torch.float64), 0.0)[0, 0].abs().to(torch.float64)
    distance = array.ring_radius_mm - x
    exact = (array.loop_radius_mm**2 + distance**2) ** -1.5
    exact = exact / (array.loop_radius_mm**2 + array.ring_radius_mm**2) ** -1.5
    torch.testing.assert_close(along, exact, rtol=1e-3, atol=0)


def test_turning_the_leg_by_one_loop_turns_the_sensitivities() -> None:
    array = LegArray(n_coils=4, n_rings=1)
    maps = array.sensitivities(grid(), grid(), 0.0)
    for i in range(4):
        turned = maps[0].abs().rot90(-i, (0, 1))
        torch.testing.assert_close(maps[i].abs(), turned, rtol=1e-4, atol=1e-5)
    quarter = maps[1][20, 20] / maps[0][20, 20]  # the field turned by 90 degrees: the phase of Bx - i By follows
    torch.testing.assert_close(quarter, torch.tensor(-1j, dtype=torch.complex64), rtol=1e-4, atol=1e-5)


def test_root_sum_of_squares_is_one_at_the_centre_and_larger_outside() -> None:
    total = LegArray().sensitivities(grid(), grid(), 0.0).abs().square().sum(0).sqrt()
    assert abs(float(total[20, 20]) - 1) < 1e-5
    assert float(total[20, 0]) > 1.5


def test_interpolated_sensitivities_stay_close_to_the_exact_ones() -> None:
    array, fine = LegArray(), grid(241)
    interpolated = on_raster(array, fine, fine, 1.5)[:, ::48, ::48]
    torch.testing.assert_close(interpolated, array.sensitivities(fine[::48], fine[::48], 1.5), rtol=0, atol=0.03)


def test_noise_of_neighbours_is_correlated_and_that_of_others_hardly() -> None:
    mixing = noise_mixing(16, 0.13, torch.Generator().manual_seed(3))
    covariance = mixing @ mixing.mH
    deviation = covariance.diagonal().real.sqrt()
    correlation = covariance.abs() / torch.outer(deviation, deviation)
    assert all(0.2 < float(correlation[i, (i + 1) % 16]) < 0.3 for i in range(16))
    assert float(correlation[0, 2:15].max()) < 0.03
    assert abs(float(deviation.square().mean()) - 1) < 1e-5
    assert float(torch.linalg.cond(mixing)) < 3
