from __future__ import annotations

import torch

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.learned.consistency import differentiable_solve, solve
from knerve.recon.learned.fused_normal import FusedNormal, normal_of_slice
from knerve.recon.learned.problem import PlainNormal


def encoding(n_y: int = 64, n_averages: int = 1) -> CartesianEncoding:
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(1, 21, 1, 3, n_y, generator=generator, dtype=torch.complex64)
    maps = maps / maps.abs().square().sum(3, keepdim=True).sqrt()
    counts = n_averages * (torch.rand(1, n_y, generator=generator) < 0.5).int()
    return CartesianEncoding(maps, counts)


def images(n_y: int = 64) -> torch.Tensor:
    return torch.randn(2, 21, n_y, dtype=torch.complex64, generator=torch.Generator().manual_seed(4))


def plain(known: CartesianEncoding) -> PlainNormal:
    return PlainNormal(known.maps[0, :, 0], known.counts[0].float() / known.counts.max())


def test_plain_normal_is_the_encodings_own() -> None:
    known, x = encoding(n_averages=3), images()
    for image, found in zip(x, plain(known)(x), strict=True):
        torch.testing.assert_close(found, known.normal(image[None, :, None])[0, :, 0] / 3, rtol=1e-4, atol=1e-5)


def test_fused_normal_is_the_plain_one() -> None:
    known, x = encoding(n_averages=2), images()
    fused = normal_of_slice(known, 0)
    assert isinstance(fused, FusedNormal)
    torch.testing.assert_close(fused(x), plain(known)(x), rtol=1e-4, atol=1e-5)


def test_odd_lengths_that_the_kernel_does_not_know_go_the_plain_way() -> None:
    assert isinstance(normal_of_slice(encoding(n_y=77), 0), PlainNormal)


def test_solves_the_system() -> None:
    normal, weight, right = plain(encoding()), torch.tensor(0.1), images()
    x = solve(normal, weight, right, 40)
    torch.testing.assert_close(normal(x) + weight * x, right, rtol=1e-3, atol=1e-3)


def test_gradients_are_those_of_the_exact_solution() -> None:
    normal, target = plain(encoding()), images().flip(0)
    right = images().requires_grad_()

    def loss(b: torch.Tensor) -> torch.Tensor:
        return (torch.view_as_real(differentiable_solve(normal, 0.3, b, 30) - target)).square().sum()

    loss(right).backward()
    assert right.grad is not None
    with torch.no_grad():
        step = 1e-2 * images().flip(1)
        numeric = (loss(right + step) - loss(right - step)) / 2
        expected = (right.grad.real * step.real + right.grad.imag * step.imag).sum()
        torch.testing.assert_close(numeric, expected, rtol=2e-2, atol=1e-2)
