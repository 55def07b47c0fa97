"""Centred Fourier transforms: unitary, and with the origin where it belongs."""

import pytest
import torch

from knerve.gpu.fourier import resize_centred, to_image, to_kspace


@pytest.mark.parametrize("shape", [(8, 6), (7, 9), (5, 8)])
def test_transforms_are_adjoint_and_inverse(shape, check_adjoint, randn):
    check_adjoint(lambda x: to_kspace(x, (0, 1)), lambda y: to_image(y, (0, 1)), shape, shape)
    x = randn(shape)
    torch.testing.assert_close(to_image(to_kspace(x, (-1,)), (-1,)), x)


@pytest.mark.parametrize("n", [8, 9])
def test_origin_is_at_the_middle_index(n):
    point = torch.zeros(n, dtype=torch.complex64)
    point[n // 2] = 1
    torch.testing.assert_close(to_kspace(point, (0,)), torch.full((n,), n**-0.5, dtype=torch.complex64))


@pytest.mark.parametrize(("old", "new"), [(8, 5), (5, 8), (7, 4), (4, 7), (6, 6)])
def test_resizing_keeps_the_origin(old, new):
    values = torch.zeros(2, old)
    values[:, old // 2] = 1
    resized = resize_centred(values, 1, new)
    assert resized.shape == (2, new)
    assert resized[:, new // 2].tolist() == [1, 1]
    assert float(resized.sum()) == 2
