from __future__ import annotations

import pytest
import torch

from knerve.recon.learned.agreement import (
    LEAST_WEIGHT,
    MOST_WEIGHT,
    agreeing_weight,
    made_consistent,
    surplus_of,
)
from knerve.recon.learned.consistency import solve
from knerve.recon.learned.krylov import krylov_space
from knerve.recon.learned.problem import PlainNormal


class Data:
    """A small scan y = A x + noise, and what Aᴴ A, Aᴴ y and ‖A x - y‖² are."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        maps = torch.randn(12, 3, 40, generator=generator, dtype=torch.complex64)
        self.maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
        self.power = (torch.rand(40, generator=generator) < 0.5).float()
        self.normal = PlainNormal(self.maps, self.power)
        self.truth = 20 * torch.randn(2, 12, 40, generator=generator, dtype=torch.complex64)
        noise = torch.randn(2, 12, 3, 40, generator=generator, dtype=torch.complex64)
        self.y = self.kspace(self.truth) + noise * self.mask
        self.right = (self.maps.conj() * torch.fft.ifft(self.y, dim=-1, norm="ortho")).sum(2)
        self.error = torch.randn(2, 12, 40, generator=generator, dtype=torch.complex64)

    @property
    def mask(self) -> torch.Tensor:
        """Sampled lines, ky = 0 first."""
        return torch.fft.ifftshift(self.power)

    def kspace(self, image: torch.Tensor) -> torch.Tensor:
        """A x."""
        return torch.fft.fft(self.maps * image.unsqueeze(2), dim=-1, norm="ortho") * self.mask

    def misfit(self, image: torch.Tensor) -> torch.Tensor:
        """‖A x - y‖²."""
        return (self.kspace(image) - self.y).abs().square().sum((1, 2, 3))[:, None, None]

    def missing(self, image: torch.Tensor) -> torch.Tensor:
        """Aᴴ y - Aᴴ A x."""
        return self.right - self.normal(image)


def test_surplus_is_what_the_misfit_grew_by() -> None:
    data = Data()
    before, after = data.truth, data.truth + data.error
    expected = data.misfit(after) - data.misfit(before)
    found = surplus_of(after - before, data.missing(before), data.missing(after))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0.5)


@pytest.mark.parametrize("weight", [0.1, 1.0, 7.0])
def test_krylov_space_holds_the_solution_of_every_weight(weight: float) -> None:
    data = Data(1)
    missing, weights = data.missing(data.truth + data.error), torch.full((2, 1, 1), weight)
    space = krylov_space(data.normal, missing, 4)
    expected = solve(data.normal, weights, missing, 4)
    torch.testing.assert_close(space.solution(weights), expected, rtol=1e-3, atol=1e-3)
    gained = data.misfit(data.truth + data.error) - data.misfit(data.truth + data.error + expected)
    torch.testing.assert_close(space.gain(weights), gained, rtol=1e-2, atol=0.5)


def test_a_worse_proposal_is_made_to_fit_as_compressed_sensing_does() -> None:
    data = Data(2)
    classical, proposal = data.truth + 0.5 * data.error, data.truth + data.error.flip(1)
    missing = data.missing(proposal)
    surplus = surplus_of(proposal - classical, data.missing(classical), missing)
    assert bool((surplus > 0).all())
    image = made_consistent(data.normal, proposal, missing, surplus, 4)
    assert bool((data.misfit(proposal) > 1.05 * data.misfit(classical)).all())
    torch.testing.assert_close(data.misfit(image), data.misfit(classical), rtol=1e-2, atol=0.1)


def test_weight_stays_between_its_limits() -> None:
    data = Data(3)
    space = krylov_space(data.normal, data.missing(data.truth + data.error), 4)
    too_much = 1e6 * torch.ones(2, 1, 1)
    torch.testing.assert_close(agreeing_weight(space, too_much), torch.full((2, 1, 1), LEAST_WEIGHT))
    torch.testing.assert_close(agreeing_weight(space, -too_much), torch.full((2, 1, 1), MOST_WEIGHT), rtol=1e-3, atol=0)


def test_gradient_is_that_of_the_solution_at_the_weight_found() -> None:
    data = Data(4)
    proposal, classical = data.truth + data.error, data.truth + 0.5 * data.error.flip(1)
    missing = data.missing(proposal).requires_grad_()
    surplus = surplus_of(proposal - classical, data.missing(classical), missing.detach())
    weight = agreeing_weight(krylov_space(data.normal, missing.detach(), 30), surplus)
    target = torch.view_as_real(data.error.flip(2))
    (torch.view_as_real(made_consistent(data.normal, proposal, missing, surplus, 30)) * target).sum().backward()
    expected = solve(data.normal, weight, data.error.flip(2), 30)
    assert missing.grad is not None
    torch.testing.assert_close(missing.grad, expected, rtol=1e-2, atol=1e-2)
