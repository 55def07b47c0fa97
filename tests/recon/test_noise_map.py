"""The analytic noise map equals what replicas measure, and both equal theory where theory is simple."""

import torch

from knerve.recon.conjugate_gradient import conjugate_gradient
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.noise_map import analytic_noise_map, replica_noise_map, zero_filled_noise_map


def _encoding(smooth_maps, counts, n_coils=6, n_x=24):
    maps = smooth_maps(1, n_coils, counts.shape[-1], n_x).permute(0, 3, 1, 2)[:, :, None].contiguous()
    return CartesianEncoding(maps, counts.to(torch.int32)[None])


def test_full_sampling_has_unit_noise(smooth_maps):
    encoding = _encoding(smooth_maps, torch.ones(32))
    noise = analytic_noise_map(encoding, torch.zeros(1, 1, 1, 1))
    torch.testing.assert_close(noise, torch.ones_like(noise), atol=1e-3, rtol=0)


def test_averages_halve_the_noise(smooth_maps):
    encoding = _encoding(smooth_maps, torch.full((32,), 4))
    noise = analytic_noise_map(encoding, torch.zeros(1, 1, 1, 1))
    torch.testing.assert_close(noise, torch.full_like(noise, 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(zero_filled_noise_map(encoding), noise, atol=1e-3, rtol=0)


def test_analytic_map_equals_replicas(smooth_maps, line_mask):
    counts = line_mask(48, 3, 8).int()
    encoding = _encoding(smooth_maps, counts, n_x=12)
    mu = torch.full((1, 1, 1, 1), 0.01)

    def solve(noise):
        sampled = noise * (encoding.counts > 0)[:, None, None]
        return conjugate_gradient(
            lambda x: encoding.normal(x) + mu * x, encoding.adjoint(sampled), tolerance=1e-6, max_iterations=200
        )

    measured = replica_noise_map(solve, encoding.kspace_shape, replicas=400, seed=0)
    analytic = analytic_noise_map(encoding, mu)
    # the analytic map is exact at its node (column 10) and smooth in between
    ratio = measured[0, 10] / analytic[0, 10]
    assert abs(float(ratio.mean()) - 1) < 0.02
    assert float((ratio - 1).abs().max()) < 0.15
    assert float(analytic.max()) > 1.3


def test_no_noise_where_there_is_no_sensitivity(smooth_maps):
    encoding = _encoding(smooth_maps, torch.ones(32))
    maps = encoding.maps.clone()
    maps[..., :8] = 0
    noise = analytic_noise_map(CartesianEncoding(maps, encoding.counts), torch.full((1, 1, 1, 1), 0.01))
    assert not bool(noise[..., :8].any())
    assert bool((noise[..., 8:] > 0.9).all())
