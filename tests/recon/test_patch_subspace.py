"""The fast correlation of patches is that of all patches, and the fast projector that of the full decomposition."""

import math

import pytest
import torch

from knerve.recon import patch_subspace
from knerve.recon.patch_subspace import patch_correlation, signal_projector


def all_patches(calibration, kernel):
    """Every patch, one after the other, (patch, value), in the order (sides..., coil)."""
    windows = calibration.movedim(0, -1)
    for axis, side in enumerate(kernel):
        windows = windows.unfold(axis, side, 1)
    n_axes = len(kernel)
    return windows.movedim(n_axes, -1).flatten(0, n_axes - 1).flatten(1)


def smooth_signal(n_coils, shape, randn, noise=0.05):
    """A few plane waves seen by every coil in its own way, and noise of unit variance times `noise`."""
    waves = randn((n_coils, 4))
    positions = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij"))
    frequencies = torch.tensor([[0.1, 0.3, -0.7], [0.9, -0.2, 0.4], [-0.5, 1.1, 0.2], [0.3, 0.8, 1.0]])[:, : len(shape)]
    phases = torch.tensordot(frequencies, positions, dims=1)
    signal = torch.tensordot(waves, torch.exp(1j * phases), dims=1)
    return (100 * signal + noise * randn(signal.shape)).to(torch.complex64)


@pytest.mark.parametrize(("shape", "kernel"), [((12, 17), (4, 5)), ((9, 8, 11), (3, 2, 4)), ((6, 9), (1, 3))])
def test_correlation_is_that_of_all_patches(shape, kernel, randn):
    calibration = randn((3, *shape))
    correlation, n_patches = patch_correlation(calibration, kernel)
    patches = all_patches(calibration, kernel)
    assert n_patches == len(patches)
    torch.testing.assert_close(correlation, patches.mT @ patches.conj(), rtol=1e-4, atol=1e-4)


def exact_projector(calibration, kernel):
    patches = all_patches(calibration, kernel).to(torch.complex128)
    values, vectors = torch.linalg.eigh(patches.mT @ patches.conj())
    n_patches, n_values = patches.shape
    edge = n_patches * (1 + math.sqrt(n_values / n_patches)) ** 2
    signal = vectors[:, values >= max(edge, 1e-3 * float(values[-1]))]
    return (signal @ signal.mH).to(torch.complex64), signal.shape[1]


@pytest.mark.parametrize(("shape", "kernel"), [((20, 40), (5, 5)), ((10, 12, 14), (3, 3, 3))])
def test_projector_is_that_of_the_full_decomposition(shape, kernel, randn, monkeypatch):
    calibration = smooth_signal(8, shape, randn, noise=1.0)
    monkeypatch.setattr(torch.linalg, "eigh", _small_only(torch.linalg.eigh, 8 * math.prod(kernel) // 2))
    projector = signal_projector(calibration, kernel)
    monkeypatch.undo()
    expected, rank = exact_projector(calibration, kernel)
    assert 0 < rank < 20
    assert projector.shape == (*kernel, 8, *kernel, 8)
    torch.testing.assert_close(projector.reshape(expected.shape), expected, atol=2e-4, rtol=0)


def _small_only(eigh, largest):
    """`torch.linalg.eigh` that refuses large matrices: the full decomposition must not be needed."""

    def guarded(matrix):
        assert matrix.shape[-1] <= largest
        return eigh(matrix)

    return guarded


def test_no_gap_falls_back_to_the_full_decomposition(randn):
    """Noise alone: the largest eigenvalue is kept, and its neighbours lie close."""
    calibration = randn((8, 20, 30))
    correlation, n_patches = patch_correlation(calibration, (5, 5))
    assert patch_subspace._by_subspace_iteration(correlation, n_patches * 2.0, 50) is None
    projector = signal_projector(calibration, (5, 5)).reshape(200, 200)
    assert float(projector.diagonal().real.sum()) >= 0.99
    torch.testing.assert_close(projector @ projector, projector, atol=1e-4, rtol=0)


def test_an_empty_image_has_no_subspace():
    assert not bool(signal_projector(torch.zeros(4, 12, 16, dtype=torch.complex64), (4, 4)).any())
