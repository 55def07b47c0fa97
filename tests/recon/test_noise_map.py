"""The analytic noise map equals what replicas measure, and both equal theory where theory is simple."""

import torch

from knerve.recon import noise_map as module
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


def test_leaving_out_empty_pixels_changes_nothing(smooth_maps, line_mask):
    maps = _encoding(smooth_maps, torch.ones(48), n_x=3).maps[0].expand(-1, 2, -1, -1).clone()  # (column, set, coil, y)
    maps[0, 0, :, :9], maps[0, 0, :, 30:33], maps[2, 1] = 0, 0, 0
    maps[:, 1, :3] *= 1j
    maps[:, 1, :, 20:] = 0
    spread = module._point_spreads(line_mask(48, 3, 8).int()[None])[0]
    fast = module._columns_noise(maps, spread, torch.tensor(0.02))
    plain = module._columns_noise_plain(maps, spread, torch.tensor(0.02))
    torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4)
    assert not bool(fast[maps.abs().amax(2) == 0].any())


def test_pixels_between_the_computed_ones(smooth_maps, line_mask, monkeypatch):
    """With every fourth pixel computed the map is within 2 % of that with all of them, also where sensitivities fade."""
    maps = _encoding(smooth_maps, torch.ones(240), n_x=2).maps[0]
    fade = (torch.arange(240) - 60).clamp(0, 16) / 16
    maps = maps * fade
    spread = module._point_spreads(line_mask(240, 3, 24).int()[None])[0]
    monkeypatch.setattr(module, "PIXELS_PER_COLUMN", 60)
    some = module._columns_noise(maps, spread, torch.tensor(0.01))
    plain = module._columns_noise_plain(maps, spread, torch.tensor(0.01))
    error = (some - plain).abs() / plain.max()
    assert float(error.max()) > 1e-4  # not the same computation
    assert float(error.quantile(0.98)) < 0.02
    assert float(error.max()) < 0.1


def test_threads_do_not_change_the_map(smooth_maps, line_mask):
    encoding = _encoding(smooth_maps, line_mask(48, 3, 8).int(), n_x=90)
    before = torch.get_num_threads()
    found = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        found.append(analytic_noise_map(encoding, torch.full((1, 1, 1, 1), 0.01)))
    torch.set_num_threads(before)
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=0)


def test_columns_in_between_stay_below_what_any_pixel_can_have(smooth_maps, line_mask):
    """Where an edge runs across the columns, the neighbours' noise over a small sensitivity must not explode."""
    encoding = _encoding(smooth_maps, line_mask(48, 3, 8).int(), n_x=64)
    fade = (torch.arange(48) - torch.arange(64)[:, None] / 2).clamp(0, 10) / 10 + 1e-4
    faded = CartesianEncoding(encoding.maps * fade[None, :, None, None], encoding.counts)
    noise = analytic_noise_map(faded, torch.full((1, 1, 1, 1), 0.01))
    assert float(noise.max()) <= 0.5 / 0.01**0.5 + 1e-4
    assert float(noise[:, 32].max()) > 1
