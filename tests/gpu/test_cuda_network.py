"""Networks at half precision."""

import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from knerve.gpu.cuda_graph import Replayed
from knerve.gpu.cuda_network import FIRST_CALLS, KEPT, HalfPrecisionNetwork


def small_network():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1, bias=False))
    return nn.Sequential(*layers).requires_grad_(False)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    return torch.device(request.param)


@pytest.mark.parametrize("brightness", [1e-6, 1.0, 1e6])  # far outside of what float16 holds
def test_half_precision_is_as_good_at_any_brightness(device, brightness):
    network = small_network().to(device)
    half = HalfPrecisionNetwork(network)
    for seed in range(FIRST_CALLS + 3):  # the last ones are replayed
        channels = brightness * torch.randn(1, 3, 20, 24, generator=torch.Generator().manual_seed(seed)).to(device)
        expected = network(channels)
        assert (half(channels) - expected).abs().max() < 3e-3 * expected.abs().max()
    assert next(network.parameters()).dtype == torch.float32


def test_float16_is_better_than_bfloat16(device):
    network = small_network().to(device)
    channels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(device)
    expected = network(channels)
    errors = [
        (HalfPrecisionNetwork(network, number)(channels) - expected).square().mean().sqrt()
        for number in (torch.float16, torch.bfloat16)
    ]
    assert errors[0] < 0.3 * errors[1]


def test_the_last_shapes_are_kept(device):
    half = HalfPrecisionNetwork(small_network().to(device))
    for n in range(8, 9 + KEPT):
        assert half(torch.ones(1, 3, n, n, device=device)).shape == (1, 2, n, n)
        half(torch.ones(1, 3, 8, 8, device=device))  # comes often
    kept = {shape[-1] for shape in half._fixed}
    assert len(kept) == KEPT
    assert {8, 8 + KEPT} < kept
    assert 9 not in kept
    assert not half(torch.zeros(1, 3, 8, 8, device=device)).any()


def test_threads_get_their_own_answers(device):
    half = HalfPrecisionNetwork(small_network().to(device))

    def wrong_answers(brightness):
        channels = torch.full((1, 3, 40, 40), brightness, device=device)
        expected = half.computed(channels)
        return sum(not torch.equal(half(channels), expected) for _ in range(50))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(wrong_answers, (1.0, 2.0, 3.0, 4.0))) == [0] * 4


def test_memory_of_a_shape_is_given_back_at_once(device):
    half = HalfPrecisionNetwork(small_network().to(device))
    half(torch.ones(1, 3, 8, 8, device=device))
    (kept,) = (weakref.ref(each) for each in half._fixed.values())
    for n in range(9, 9 + KEPT):
        half(torch.ones(1, 3, n, n, device=device))
    assert kept() is None


def test_work_is_done_once_a_call(device):
    total = torch.zeros(3, device=device)
    replayed = Replayed(device)
    for n in range(1, 6):
        replayed(lambda: total.add_(1))
        assert total.tolist() == [n] * 3
