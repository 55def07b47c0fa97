"""The encoding operator passes the checks of every operator, in 2-D and 3-D, with averages and two sets of maps."""

import pytest
import torch

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.errors import SettingsError

CASES = {
    "2-D": ((2, 5, 1, 4, 12), (2, 12)),
    "odd": ((1, 3, 1, 2, 9), (1, 9)),
    "two sets": ((2, 3, 2, 3, 10), (2, 10)),
    "fewer rows than lines": ((2, 3, 2, 3, 7), (2, 12)),
    "3-D": ((1, 4, 1, 3, 6, 8), (1, 6, 8)),
    "3-D odd": ((1, 2, 2, 3, 5, 7), (1, 5, 7)),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def encoding(request, randn):
    maps_shape, counts_shape = request.param
    counts = torch.randint(0, 4, counts_shape, generator=torch.Generator().manual_seed(1), dtype=torch.int32)
    return CartesianEncoding(randn(maps_shape), counts, first_row=(counts_shape[-1] - maps_shape[-1]) // 2)


def test_adjoint_and_linearity(encoding, check_adjoint):
    check_adjoint(encoding.forward, encoding.adjoint, encoding.image_shape, encoding.kspace_shape)


def test_normal_operator_and_gradient(encoding, check_normal):
    check_normal(encoding.forward, encoding.adjoint, encoding.normal, encoding.image_shape)


def test_blocks_of_columns_do_not_change_the_result(randn, monkeypatch):
    encoding = CartesianEncoding(randn((1, 7, 1, 4, 12)), torch.ones(1, 12, dtype=torch.int32))
    image = randn(encoding.image_shape)
    whole = encoding.normal(image)
    monkeypatch.setattr("knerve.recon.encoding.CACHE_BYTES", 1)
    torch.testing.assert_close(encoding.normal(image), whole)


def test_imaginary_penalty_only_touches_the_imaginary_part(randn):
    maps, counts = randn((1, 3, 1, 2, 8)), torch.ones(1, 8, dtype=torch.int32)
    image = randn((1, 3, 1, 8))
    plain = CartesianEncoding(maps, counts).normal(image)
    penalised = CartesianEncoding(maps, counts, imaginary_penalty=0.7).normal(image)
    torch.testing.assert_close(penalised - plain, 0.7j * image.imag)


def test_wrong_shapes_are_refused(randn):
    maps = randn((1, 3, 1, 2, 8))
    with pytest.raises(SettingsError, match=r"counts have shape \(1, 7\); maps .* need \(1, 8\), or more lines"):
        CartesianEncoding(maps, torch.ones(1, 7, dtype=torch.int32))
    with pytest.raises(SettingsError, match=r"counts have shape \(2, 8\); maps .* need \(1, 8\)"):
        CartesianEncoding(maps, torch.ones(2, 8, dtype=torch.int32))
    encoding = CartesianEncoding(maps, torch.ones(1, 8, dtype=torch.int32))
    with pytest.raises(SettingsError, match=r"image has shape \(1, 3, 8\); this encoding takes \(1, 3, 1, 8\)"):
        encoding.normal(randn((1, 3, 8)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_agrees_with_cpu(randn):
    maps, counts = randn((2, 30, 1, 8, 64)), torch.randint(0, 2, (2, 64), dtype=torch.int32)
    image = randn((2, 30, 1, 64))
    on_cpu = CartesianEncoding(maps, counts).normal(image)
    on_gpu = CartesianEncoding(maps.cuda(), counts.cuda()).normal(image.cuda())
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-4, atol=1e-4)
