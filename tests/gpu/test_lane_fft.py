"""The transform inside of kernels, against NumPy's."""

import numpy as np
import pytest

from knerve.gpu.fft_lengths import factors, fast_length
from knerve.gpu.lane_fft import fft_plan, transform
from knerve.gpu.lanes import LANES


def forward(values):
    n = len(values)
    plan = fft_plan(n)
    a_re, a_im = values.real.ravel().copy(), values.imag.ravel().copy()
    b_re, b_im = np.empty_like(a_re), np.empty_like(a_im)
    in_b = transform(a_re, a_im, b_re, b_im, n, plan.radices, plan.cosines, plan.sines)
    re, im = (b_re, b_im) if in_b else (a_re, a_im)
    return (re + 1j * im).reshape(n, LANES)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 15, 40, 64, 90, 360, 486, 500, 512, 576])
def test_transforms_every_column_like_numpy(n):
    rng = np.random.default_rng(n)
    values = (rng.standard_normal((n, LANES)) + 1j * rng.standard_normal((n, LANES))).astype(np.complex64)
    expected = np.fft.fft(values.astype(np.complex128), axis=0)
    assert np.abs(forward(values) - expected).max() < 1e-6 * np.abs(expected).max()


def test_a_plan_refuses_other_prime_factors():
    with pytest.raises(
        ValueError, match="552 has a prime factor above 5; take a length that is a product of 2, 3 and 5"
    ):
        fft_plan(552)


@pytest.mark.parametrize(
    ("n", "expected"),
    [(552, 576), (484, 500), (485, 500), (500, 500), (512, 512), (23, 23), (64, 64), (67, 67), (92, 96)],
)
def test_fast_lengths_have_few_passes_and_keep_an_even_length_even(n, expected):
    assert fast_length(n) == expected


def test_factors_multiply_to_the_length():
    assert all(np.prod(factors(n)) == n for n in range(2, 700) if factors(n) is not None)
    assert factors(7) is None
    assert factors(1) == ()
