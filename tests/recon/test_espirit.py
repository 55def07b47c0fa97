"""ESPIRiT finds the sensitivities that made the data, in 2-D and 3-D, and sees where two of them overlap."""

import torch

from knerve.gpu.fourier import to_kspace
from knerve.recon.espirit import espirit


def _calibration(maps, image, width, noise=1.0):
    kspace = to_kspace(maps * image, tuple(range(1, maps.ndim)))
    generator = torch.Generator().manual_seed(0)
    kspace = kspace + noise * torch.randn(kspace.shape, generator=generator, dtype=torch.complex64)
    block = tuple(slice(n // 2 - min(n, width) // 2, n // 2 + (min(n, width) + 1) // 2) for n in kspace.shape[1:])
    return kspace[(slice(None), *block)][None]


def _correlation(found, maps):
    """|sᴴ t| of unit sensitivities, per pixel; both (coil, y, x)."""
    product = (found.conj() * maps).sum(0).abs()
    return product / torch.linalg.vector_norm(found, dim=0).clamp(min=1e-9)


def test_maps_equal_the_truth_up_to_phase_inside_the_object(make_scan):
    truth = make_scan(n_y=96, n_x=80)
    maps, image = truth.maps[0], truth.image[0]
    found = espirit(_calibration(maps, image, 24), (96, 80), (1.0, 1.0), 6, 1)
    fitted = found.maps[0, :, 0].permute(1, 2, 0)  # (coil, y, x)
    inside = image.abs() > 1
    assert float(_correlation(fitted, maps)[inside].min()) > 0.99
    assert float(found.strength[0, :, 0].T[inside].min()) > 0.95


def test_background_is_masked_out_softly(make_scan):
    truth = make_scan(n_y=96, n_x=80, radius=0.4)
    found = espirit(_calibration(truth.maps[0], truth.image[0], 24), (96, 80), (1.0, 1.0), 6, 1)
    strength = found.strength[0, :, 0].T
    assert float(strength[:5].max()) < 0.05
    rim = (strength > 0.05) & (strength < 0.95)
    assert int(rim.sum()) > 20


def test_few_lines_keep_the_object(make_scan):
    truth = make_scan(n_y=96, n_x=80)
    calibration = _calibration(truth.maps[0], truth.image[0], 24)[:, :, 8:16]
    found = espirit(calibration, (96, 80), (1.0, 1.0), 6, 1)
    inside = truth.image[0].abs() > 10
    assert float(found.strength[0, :, 0].T[inside].quantile(0.05)) > 0.8
    fitted = found.maps[0, :, 0].permute(1, 2, 0)
    assert float(_correlation(fitted, truth.maps[0])[inside].quantile(0.05)) > 0.97


def test_folded_object_has_two_sensitivities(make_scan):
    truth = make_scan(n_y=128, n_x=64, radius=0.95, texture=1.5)
    maps, image = truth.maps[0], truth.image[0]
    folded = to_kspace(maps * image, (1, 2))[:, ::2]  # half the field of view along y
    folded = folded + torch.randn(folded.shape, generator=torch.Generator().manual_seed(0), dtype=torch.complex64)
    found = espirit(folded[None, :, 20:44], (64, 64), (1.0, 1.0), 6, 2)
    inside = image.abs() > 1
    # pixel y of the half field of view shows rows y + 32 and y + 96 (mod 128) of the object
    low = torch.roll(inside, 32, 0)[:64]
    high = torch.roll(inside, -32, 0)[:64]
    both = low & high
    second = found.eigenvalues[0, :, 1].T
    assert int(both.sum()) > 100
    assert float(second[both].quantile(0.3)) > 0.9
    assert float(second[~both].quantile(0.2)) < 0.88


def test_three_dimensions(make_scan):
    truth = make_scan(n_y=32, n_x=28, n_coils=4)
    depth = 16
    maps = truth.maps[0][:, None].expand(-1, depth, -1, -1).clone()
    image = truth.image[0].expand(depth, -1, -1).clone()
    image[:3] = 0
    image[-3:] = 0
    found = espirit(_calibration(maps, image, 14, noise=0.5), (depth, 32, 28), (1.0, 1.0, 1.0), 5, 1)
    assert found.maps.shape == (1, 28, 1, 4, depth, 32)
    fitted = found.maps[0, :, 0].permute(1, 2, 3, 0)
    inside = image.abs() > 1
    product = (fitted.conj() * maps).sum(0).abs() / torch.linalg.vector_norm(fitted, dim=0).clamp(min=1e-9)
    assert float(product[inside].quantile(0.01)) > 0.98


def test_same_data_give_the_same_maps(make_scan):
    truth = make_scan()
    calibration = _calibration(truth.maps[0], truth.image[0], 24)
    first = espirit(calibration, (96, 80), (1.0, 1.0), 6, 2)
    second = espirit(calibration, (96, 80), (1.0, 1.0), 6, 2)
    assert torch.equal(first.maps, second.maps)


def test_an_object_longer_than_the_image_has_its_own_sensitivities_at_both_ends(make_scan):
    wide = make_scan(n_y=96, n_x=320, radius=0.9)
    calibration = _calibration(wide.maps[0], wide.image[0], 24)
    cut = slice(80, 240)
    found = espirit(calibration, (96, 160), (1.0, 2.0), 6, 1)
    fitted = found.maps[0, :, 0].permute(1, 2, 0)
    seen = wide.image[0][:, cut].abs() > 10
    assert int(seen[:, -3:].sum()) > 100
    correlation = _correlation(fitted, wide.maps[0][:, :, cut])
    assert float(correlation[:, -3:][seen[:, -3:]].min()) > 0.99
    assert float(correlation[:, :3][seen[:, :3]].min()) > 0.99
