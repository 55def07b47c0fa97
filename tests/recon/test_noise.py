"""Prewhitening: whitened noise has the identity as covariance, from readouts and from the edge alike."""

from dataclasses import replace

import pytest
import torch

from knerve.gpu.fourier import to_kspace
from knerve.recon.errors import RawDataError
from knerve.recon.noise import estimate_whitening, mix_coils, prewhiten
from knerve.recon.scan import Noise

MIXING = torch.tensor(
    [[2.0, 0, 0, 0], [0.8, 1.5, 0, 0], [0.1j, 0.4, 1.0, 0], [0, 0.2, 0.3j, 3.0]], dtype=torch.complex64
)


def _covariance(samples):
    return samples @ samples.mH / samples.shape[1]


@pytest.fixture
def correlated(make_scan):
    """A four-coil scan whose noise went through MIXING, noise readouts with four times the variance."""
    truth = make_scan(n_coils=4, snr=5)
    scan = truth.scan
    kspace = mix_coils(MIXING, scan.kspace)
    samples = 2 * MIXING @ scan.noise.samples
    return replace(scan, kspace=kspace, noise=Noise(samples, variance_scale=0.25))


def test_whitened_noise_readouts_have_identity_covariance(correlated):
    whitening, notes = estimate_whitening(correlated)
    assert whitening.report.source == "noise readouts"
    assert notes == ()
    whitened = 0.5 * whitening.matrix @ correlated.noise.samples
    torch.testing.assert_close(_covariance(whitened), torch.eye(4, dtype=torch.complex64), atol=1e-4, rtol=0)


def test_imaging_noise_is_white_too(correlated):
    whitening, _ = estimate_whitening(correlated)
    fresh = MIXING @ torch.randn(4, 50_000, generator=torch.Generator().manual_seed(0), dtype=torch.complex64)
    covariance = _covariance(whitening.matrix @ fresh)
    torch.testing.assert_close(covariance, torch.eye(4, dtype=torch.complex64), atol=0.08, rtol=0)


def test_without_readouts_the_edge_serves_and_is_named(correlated):
    whitening, notes = estimate_whitening(replace(correlated, noise=None))
    assert whitening.report.source == "k-space edge"
    assert "no noise readouts: noise was estimated from" in notes[0]
    expected = (MIXING @ MIXING.mH).diagonal().real.sqrt()
    torch.testing.assert_close(torch.tensor(whitening.report.standard_deviation), expected, rtol=0.15, atol=0)


def test_edge_of_averaged_lines_is_scaled_to_one_readout(make_scan):
    counts = torch.full((1, 96), 4)
    scan = make_scan(n_coils=4, counts=counts, noise_readouts=False, snr=2).scan
    whitening, _ = estimate_whitening(scan)
    torch.testing.assert_close(torch.tensor(whitening.report.standard_deviation), torch.ones(4), rtol=0.15, atol=0)


def test_whitening_keeps_shapes_and_leaves_unsampled_lines_empty(correlated):
    counts = correlated.counts.clone()
    counts[:, ::2] = 0
    scan = replace(correlated, counts=counts, kspace=correlated.kspace * (counts > 0)[:, None, :, None])
    whitening, _ = estimate_whitening(scan)
    whitened = prewhiten(scan, whitening)
    assert whitened.kspace.shape == scan.kspace.shape
    assert not bool(whitened.kspace[:, :, ::2].abs().any())


def test_dead_channel_is_left_out_and_named(correlated):
    samples = correlated.noise.samples.clone()
    samples[2] = 0
    scan = replace(correlated, noise=Noise(samples))
    whitening, notes = estimate_whitening(scan)
    assert "channel(s) [2] hold no noise at all (noise readouts): taken as dead and left out." in notes
    assert whitening.matrix.shape == (3, 4)
    whitened = whitening.matrix @ samples
    torch.testing.assert_close(_covariance(whitened), torch.eye(3, dtype=torch.complex64), atol=1e-4, rtol=0)
    assert prewhiten(scan, whitening).kspace.shape[1] == 3


def test_noise_free_data_get_an_assumption_that_is_told(make_scan):
    truth = make_scan()
    clean = replace(truth.scan, kspace=to_kspace(truth.maps * truth.image[:, None], (-2, -1)), noise=None)
    clean = replace(clean, kspace=clean.kspace * (torch.arange(80) > 8) * (torch.arange(80) < 72))
    whitening, notes = estimate_whitening(clean)
    assert whitening.report.source == "assumed white"
    assert "white noise of 0.0001 of the largest sample was assumed" in notes[0]


def test_empty_kspace_is_refused(make_scan):
    scan = make_scan(noise_readouts=False).scan
    with pytest.raises(RawDataError, match="k-space is zero everywhere"):
        estimate_whitening(replace(scan, kspace=torch.zeros_like(scan.kspace)))
