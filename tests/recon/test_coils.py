"""Coil compression keeps the asked energy, and each slice's result does not depend on its neighbours."""

from dataclasses import replace

import pytest
import torch

from knerve.recon.coils import coils_to_keep, compress_coils
from knerve.recon.espirit import Sensitivities
from knerve.recon.hybrid import HybridScan
from knerve.recon.settings import Settings


@pytest.fixture
def many_coils(smooth_maps, randn):
    maps = smooth_maps(2, 16, 48, 40)  # (slice, coil, y, x)
    image = randn((2, 1, 48, 40))
    hybrid = (maps * image).permute(0, 3, 1, 2).contiguous()  # any data along ky will do
    scan = HybridScan(hybrid, torch.ones(2, 48, dtype=torch.int32), None, (1.0, 1.0, 1.0))
    columns = maps.permute(0, 3, 1, 2)[:, :, None].contiguous()
    return scan, Sensitivities(columns, torch.ones(2, 40, 1, 48))


@pytest.mark.parametrize("compression", ["svd", "geometric"])
def test_retained_energy_is_kept(many_coils, compression):
    scan, sensitivities = many_coils
    small, maps = compress_coils(scan, sensitivities, Settings(compression=compression, retained_energy=0.99))
    assert small.n_coils < 16
    kept = maps.maps.abs().square().sum() / sensitivities.maps.abs().square().sum()
    assert 0.99 <= float(kept) <= 1.0
    assert small.kspace.shape == (2, 40, small.n_coils, 48)


def test_geometric_compression_needs_fewer_coils(many_coils):
    scan, sensitivities = many_coils
    counts = {}
    for compression in ("svd", "geometric"):
        small, _ = compress_coils(scan, sensitivities, Settings(compression=compression, retained_energy=0.999))
        counts[compression] = small.n_coils
    assert counts["geometric"] < counts["svd"]


def test_data_and_maps_stay_consistent(many_coils):
    """Data that are maps times image stay maps times image with the same image."""
    scan, sensitivities = many_coils
    image = (sensitivities.maps[:, :, 0].conj() * scan.kspace).sum(2)
    small, maps = compress_coils(scan, sensitivities, Settings(virtual_coils=8))
    torch.testing.assert_close(maps.maps[:, :, 0] * image[:, :, None], small.kspace, rtol=1e-3, atol=1e-3)


def test_fixed_number_and_none(many_coils):
    scan, sensitivities = many_coils
    assert compress_coils(scan, sensitivities, Settings(virtual_coils=5))[0].n_coils == 5
    assert compress_coils(scan, sensitivities, Settings(virtual_coils=99))[0].n_coils == 16
    untouched, _ = compress_coils(scan, sensitivities, Settings(compression="none"))
    assert untouched is scan


def test_a_slice_does_not_depend_on_its_neighbours(many_coils, randn):
    scan, sensitivities = many_coils
    scattered = sensitivities.maps.clone()
    scattered[1] = randn(scattered.shape[1:])  # slice 1 needs every coil
    both, both_maps = compress_coils(scan, replace(sensitivities, maps=scattered), Settings())
    alone = replace(scan, kspace=scan.kspace[:1], counts=scan.counts[:1])
    one, one_maps = compress_coils(alone, Sensitivities(scattered[:1], sensitivities.eigenvalues[:1]), Settings())
    assert both.n_coils > one.n_coils
    padding = both.n_coils - one.n_coils
    torch.testing.assert_close(both.kspace[:1, :, padding:], one.kspace)
    assert not bool(both_maps.maps[:1, :, :, :padding].abs().any())
    torch.testing.assert_close(both_maps.maps[:1, :, :, padding:], one_maps.maps)


def test_coils_to_keep_counts():
    energy = torch.tensor([[[0.0, 1.0, 9.0, 90.0]]])
    assert coils_to_keep(energy, 0.89).tolist() == [1]
    assert coils_to_keep(energy, 0.95).tolist() == [2]
    assert coils_to_keep(energy, 1.0).tolist() == [3]
