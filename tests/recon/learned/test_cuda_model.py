"""The learned method's parts for a GPU, as far as a CPU can tell."""

import copy

import pytest
import torch
from torch import nn

from knerve.gpu.cuda_network import HalfPrecisionNetwork
from knerve.gpu.cuda_on_cpu import compiled_by_gcc, has_gcc
from knerve.recon.learned.cuda_model import CudaNormal, on_device
from knerve.recon.learned.problem import PlainNormal, Problem
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


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def model_there(request):
    """The packaged model as a GPU runs it, and where: on a CPU its networks alone."""
    model = packaged_model()
    if model is None:
        pytest.skip("this installation comes without weights")
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no CUDA GPU here")
        return on_device(model, torch.device("cuda")), torch.device("cuda")
    there = copy.deepcopy(model)
    there.networks = nn.ModuleList(HalfPrecisionNetwork(each) for each in there.networks)
    return there, torch.device("cpu")


def test_the_whole_model_at_half_precision_gives_the_same_image(model_there):
    there, device = model_there
    generator = torch.Generator().manual_seed(4)
    n_x, n_y = 104, 96
    x, y = torch.linspace(-1, 1, n_x)[:, None], torch.linspace(-1, 1, n_y)[None]
    disc = 40 * (x**2 + y**2 < 0.7) * (1 + 0.4 * (torch.sin(20 * x) * torch.sin(25 * y) > 0))
    angles = torch.arange(4)[:, None, None] * torch.pi / 2
    maps = torch.polar(1 / (0.5 + (x - angles.cos()) ** 2 + (y - angles.sin()) ** 2), angles + x * y).movedim(0, 1)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    power = (torch.rand(n_y, generator=generator) < 0.5).float()
    noise = [torch.randn(1, n_x, n_y, generator=generator, dtype=torch.complex64) for _ in range(2)]
    right = PlainNormal(maps, power)(disc + 0j + noise[0])
    problem = Problem(right, disc + 0.7 * noise[1], torch.full((n_x, n_y), 1.5))
    with torch.no_grad():
        expected = packaged_model()(problem, PlainNormal(maps, power))[-1]
        problem = Problem(*(each.to(device) for each in (problem.right, problem.start, problem.noise)))
        image = there(problem, PlainNormal(maps.to(device), power.to(device)))[-1].cpu()
    assert float((expected - problem.start.cpu()).abs().mean()) > 0.1
    assert float((image - expected).abs().square().mean().sqrt()) < LARGEST_ERROR


def test_on_a_cpu_the_model_stays_as_it_is():
    model = packaged_model()
    if model is None:
        pytest.skip("this installation comes without weights")
    assert on_device(model, torch.device("cpu")) is model
