"""The learned method's parts for a GPU, as far as a CPU can tell."""

import pytest
import torch

from knerve.gpu.cuda_network import HalfPrecisionNetwork
from knerve.gpu.cuda_on_cpu import compiled_by_gcc, has_gcc
from knerve.recon.learned.cuda_model import CudaNormal, on_device
from knerve.recon.learned.problem import PlainNormal
from knerve.recon.learned.weights import packaged_model

LARGEST_ERROR = 1e-2  # root mean square, noise standard deviations


@pytest.mark.skipif(not has_gcc(), reason="g++ is not here: it compiles the CUDA kernels for the CPU")
def test_normal_operator_equals_the_plain_one(randn):
    maps, image = randn((5, 3, 60)), randn((2, 5, 60))
    power = torch.rand(60, generator=torch.Generator().manual_seed(0))
    expected = PlainNormal(maps, power)(image)
    found = CudaNormal(maps, power, compiled_by_gcc)(image)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_half_precision_changes_less_than_the_noise():
    model = packaged_model()
    if model is None:
        pytest.skip("this installation comes without weights")
    channels = torch.randn(1, model.architecture.n_inputs, 104, 96, generator=torch.Generator().manual_seed(0))
    channels[:, :2] *= 8  # a detail 30 times the noise
    for network, gains in zip(model.networks, model.gains, strict=True):
        scaled = channels * gains[:, None, None]
        with torch.no_grad():
            expected = network(scaled)
        error = HalfPrecisionNetwork(network)(scaled) - expected
        assert float(error.square().mean().sqrt()) < LARGEST_ERROR


def test_on_a_cpu_the_model_stays_as_it_is():
    model = packaged_model()
    if model is None:
        pytest.skip("this installation comes without weights")
    assert on_device(model, torch.device("cpu")) is model
