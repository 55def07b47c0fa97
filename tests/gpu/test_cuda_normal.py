"""The ways to the gradient step in tensor operations, and how the quickest is found."""

import pytest
import torch

from knerve.gpu.cuda_choice import Choice, quickest, relative_difference
from knerve.gpu.cuda_normal import FftStep, MatrixStep, as_tf32, split
from knerve.recon.encoding import CartesianEncoding

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def draw(*shape):
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    return torch.device(request.param)


@pytest.mark.parametrize("kind", [FftStep, MatrixStep])
@pytest.mark.parametrize(("n_sets", "n_rows", "penalty"), [(1, 52, 0.0), (2, 40, 0.7)])
def test_equals_the_plain_step(kind, n_sets, n_rows, penalty, device):
    counts = torch.randint(0, 3, (1, 52), generator=torch.Generator().manual_seed(1), dtype=torch.int32).repeat(2, 1)
    encoding = CartesianEncoding(draw(2, 6, n_sets, 3, n_rows), counts, penalty)
    x, before, right = draw(3, *encoding.image_shape)
    momentum, step = torch.tensor([0.3, 0.8]), torch.tensor([0.5, 0.9])
    z = x + momentum.reshape(-1, 1, 1, 1) * (x - before)
    expected = z - step.reshape(-1, 1, 1, 1) * (encoding.normal(z) - right)
    way = kind(encoding.maps.to(device), 52, penalty)
    way.set_counts(counts.to(device))
    target = torch.full_like(x, torch.nan).to(device)
    way(*(each.to(device) for each in (x, before, momentum, right, step)), target)
    assert way.image_shape == encoding.image_shape
    assert relative_difference(target.cpu(), expected) < 5e-6


def test_new_lines_take_the_places_of_as_many_old_ones(device):
    """A CUDA graph goes on reading where the first ones were."""
    maps = draw(1, 6, 1, 3, 52).to(device)
    way, places = MatrixStep(maps, 52, 0.0), []
    for first in (0, 1):
        counts = torch.zeros(1, 52, dtype=torch.int32, device=device)
        counts[:, first::2] = 1 + first
        way.set_counts(counts)
        places.append([each.data_ptr() for each in way._matrices])
    assert places[0] == places[1]
    fresh = MatrixStep(maps, 52, 0.0)
    fresh.set_counts(counts)
    image = draw(1, 6, 1, 52).to(device)
    assert torch.equal(way.normal(image), fresh.normal(image))


def test_one_tf32_product_would_not_do_and_three_do():
    """A CPU multiplies numbers of TF32's precision exactly, as tensor cores do: the rounding of the factors is all there is."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 500, generator=generator), torch.randn(500, 60, generator=generator)
    exact = a.double() @ b.double()
    rounded = as_tf32(a).double() @ as_tf32(b).double()
    assert relative_difference(rounded, exact) > 1e-4
    (a1, a2), (b1, b2) = split(a), split(b)
    three = a1.double() @ b1.double() + a1.double() @ b2.double() + a2.double() @ b1.double()
    assert relative_difference(three, exact) < 1e-6


def test_tf32_keeps_eleven_bits():
    assert as_tf32(torch.tensor([1 + 2**-10, 1 + 2**-12, -3.0])).tolist() == [1 + 2**-10, 1.0, -3.0]


def test_the_quickest_right_way_is_taken_once():
    calls = []

    def right():
        calls.append("right")
        return torch.ones(3)

    def fails():
        raise RuntimeError("no such kernel here\nand more words")

    ways = {"reference": lambda: torch.ones(3), "wrong": lambda: torch.zeros(3), "fails": fails, "right": right}
    choice = quickest("a key of this test", ways, "reference")
    assert choice.refused["fails"] == "no such kernel here"
    assert "off by 1" in choice.refused["wrong"]
    assert set(choice.seconds) == {"reference", "right"}
    n_calls = len(calls)
    assert quickest("a key of this test", ways, "reference") is choice
    assert len(calls) == n_calls
    assert isinstance(choice, Choice)
