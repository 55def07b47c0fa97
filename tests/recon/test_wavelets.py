"""The wavelet transform is orthogonal and agrees with PyWavelets."""

import numpy as np
import pytest
import pywt
import torch

from knerve.recon.wavelets import FILTERS, WaveletTransform


@pytest.mark.parametrize("name", ["haar", "db2", "db3", "db4"])
def test_filters_are_those_of_pywavelets(name):
    np.testing.assert_allclose(FILTERS[name], pywt.Wavelet(name).rec_lo, atol=1e-9)


@pytest.mark.parametrize("name", ["haar", "db2", "db4"])
@pytest.mark.parametrize("shift", [None, (3, 5)])
def test_transform_is_an_isometry_with_its_adjoint_as_inverse(name, shift, randn, check_adjoint):
    wavelet = WaveletTransform(name, (-3, -1), (20, 37), levels=2)
    domain, padded = (2, 20, 1, 37), (2, 20, 1, 40)
    check_adjoint(lambda x: wavelet.forward(x, shift), lambda c: wavelet.adjoint(c, shift), domain, padded)
    image = randn(domain)
    coefficients = wavelet.forward(image, shift)
    torch.testing.assert_close(torch.linalg.vector_norm(coefficients), torch.linalg.vector_norm(image))
    torch.testing.assert_close(wavelet.adjoint(coefficients, shift), image, rtol=1e-4, atol=1e-5)


def test_three_axes(randn, check_adjoint):
    wavelet = WaveletTransform("db2", (-4, -2, -1), (8, 12, 16), levels=2)
    shape = (1, 8, 1, 12, 16)
    check_adjoint(wavelet.forward, wavelet.adjoint, shape, shape)
    image = randn(shape)
    torch.testing.assert_close(wavelet.adjoint(wavelet.forward(image)), image, rtol=1e-4, atol=1e-5)


def test_one_level_equals_pywavelets():
    signal = np.random.default_rng(0).standard_normal(32)
    low, high = pywt.dwt(signal, "db2", mode="periodization")
    image = torch.from_numpy(signal).to(torch.complex64)[None]
    # PyWavelets starts its periodic grid one sample earlier
    ours = WaveletTransform("db2", (-1,), (32,), levels=1).forward(image, shift=(1,)).real
    np.testing.assert_allclose(np.sort(ours[0, :16]), np.sort(low), atol=1e-5)
    np.testing.assert_allclose(np.sort(ours[0, 16:].abs()), np.sort(np.abs(high)), atol=1e-5)


def test_a_constant_image_lives_in_the_coarsest_corner():
    wavelet = WaveletTransform("db4", (-2, -1), (64, 64), levels=3)
    coefficients = wavelet.forward(torch.ones(1, 64, 64, dtype=torch.complex64))
    wavelet.coarsest_corner(coefficients).zero_()
    assert float(coefficients.abs().max()) < 1e-5


def test_short_axes_are_left_out():
    wavelet = WaveletTransform.for_image("db4", (1, 1, 1, 230, 180), (-4, -2, -1))
    assert wavelet.dims == (-2, -1)
    assert wavelet.levels == 3
