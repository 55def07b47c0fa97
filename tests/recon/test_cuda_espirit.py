"""ESPIRiT of all slices at once gives the sensitivities of the slices one by one."""

import pytest
import torch

from knerve.gpu.fourier import to_kspace
from knerve.recon.cuda_espirit import espirit_at_once, orthonormal, reference_phases, signal_projectors
from knerve.recon.espirit import espirit, reference_phase
from knerve.recon.patch_subspace import signal_projector


@pytest.fixture
def calibration(smooth_maps, randn):
    """Three slices: an object, another that folds over itself, and noise; (slice, coil, ky, kx)."""
    n_y, n_x, n_coils = 64, 60, 8
    y, x = torch.linspace(-1, 1, n_y)[:, None], torch.linspace(-1, 1, n_x)[None, :]
    maps = smooth_maps(1, n_coils, n_y, n_x)[0]
    narrow = 40.0 * ((y / 0.7) ** 2 + (x / 0.7) ** 2 < 1)
    wide = 40.0 * ((y / 0.95) ** 2 + (x / 0.8) ** 2 < 1)
    twice = maps * wide + torch.roll(maps, 20, 1) * torch.roll(wide, 20, 0)
    blocks = [to_kspace(image, (-2, -1))[:, 20:44, 18:42] for image in (maps * narrow, twice, 0 * maps)]
    return torch.stack(blocks) + randn((3, n_coils, 24, 24))


@pytest.mark.parametrize("n_sets", [1, 2, None])
def test_equals_the_slices_one_by_one(calibration, n_sets):
    arguments = ((64, 60), (1.0, 1.0))
    expected = espirit(calibration, *arguments, 6, n_sets)
    found = espirit_at_once(calibration, *arguments, 6, n_sets)
    assert found.maps.shape == expected.maps.shape
    clear = slice(0, 2)  # of noise alone any sensitivities are as good as others
    difference = (found.maps[clear] - expected.maps[clear]).abs()
    assert float(difference[:, :, 0].mean()) < 1e-4
    assert float((found.eigenvalues - expected.eigenvalues)[clear, :, 0].abs().mean()) < 1e-4


def test_projectors_equal_those_of_the_slices(calibration):
    for found, block in zip(signal_projectors(calibration, (5, 5)), calibration, strict=True):
        assert (found - signal_projector(block, (5, 5))).abs().max() < 1e-4


def test_few_coils_go_one_by_one(calibration):
    found = signal_projectors(calibration[:1, :4], (4, 4))
    assert torch.equal(found[0], signal_projector(calibration[0, :4], (4, 4)))


def test_bases_are_orthonormal_however_uneven_the_columns(randn):
    columns = randn((2, 60, 12)) * torch.logspace(0, -6, 12)
    basis = orthonormal(columns)
    assert (basis.mH @ basis - torch.eye(12)).abs().max() < 1e-5
    assert (basis @ (basis.mH @ columns) - columns).abs().max() < 1e-5
    assert torch.equal(orthonormal(0 * columns), 0 * columns)


def test_phases_equal_those_of_the_slices(randn):
    vectors = randn((2, 200, 5)) + 2
    vectors = vectors / torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    weights = torch.rand(2, 200, generator=torch.Generator().manual_seed(0)).clamp(min=0.3) - 0.3
    found = reference_phases(vectors, weights)
    for s in range(2):
        expected = reference_phase(vectors[s], weights[s])
        turn = (found[s] * expected.conj()).mean()  # a common phase of the slice is free
        assert (found[s] - turn / turn.abs() * expected).abs().max() < 1e-3
