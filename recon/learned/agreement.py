"""Soft data consistency that makes a proposed image explain the data as compressed sensing does.

    argmin ‖A x - y‖² + λ ‖x - z‖²  =  z + (Aᴴ A + λ)⁻¹ e,     e = Aᴴ y - Aᴴ A z

As in MoDL (Aggarwal et al. 2019, doi:10.1109/TMI.2018.2865356), but λ is neither learned nor set. The larger it is, the more
stays of the proposal z. The largest up to 10 is taken with which ‖A x - y‖² is at most that of compressed sensing, which follows
the noise (a discrepancy principle, Morozov 1966). Errors of the sensitivities, which no image explains, do not pull x into the
noise.

A Krylov space of e holds that image for every λ at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from knerve.recon.learned.consistency import inner, solve
from knerve.recon.learned.krylov import KrylovSpace, krylov_space
from knerve.recon.learned.problem import Normal

LEAST_WEIGHT, MOST_WEIGHT = 0.1, 10.0
BISECTIONS = 16


def made_consistent(normal: Normal, proposal: Tensor, missing: Tensor, surplus: Tensor, n_iterations: int) -> Tensor:
    """The proposal, as near as it can stay when the data are explained well enough.

    Args:
        normal: Aᴴ A, (batch, x, y) to the same.
        proposal: z, (batch, x, y).
        missing: e, same shape.
        surplus: (batch, 1, 1), ‖A z - y‖² minus what is well enough.
        n_iterations: dimensions of the Krylov space.
    """
    change: Tensor = _Change.apply(missing, surplus, normal, n_iterations)  # type: ignore[no-untyped-call]  # torch's own
    return proposal + change


def surplus_of(change: Tensor, missing_before: Tensor, missing: Tensor) -> Tensor:
    """By how much ‖A x - y‖² grew with a change of the image, (batch, 1, 1).

    Args:
        change: (batch, x, y).
        missing_before: Aᴴ y - Aᴴ A x before it, same shape.
        missing: after it.
    """
    return -inner(change, missing_before + missing)


class _Change(Function):
    """δ; its gradient is that of (Aᴴ A + λ)⁻¹ with λ as it was found."""

    @staticmethod
    def forward(
        context: Any,  # noqa: ANN401 - torch's own context has no type
        missing: Tensor,
        surplus: Tensor,
        normal: Normal,
        n_iterations: int,
    ) -> Tensor:
        space = krylov_space(normal, missing, n_iterations)
        weight = agreeing_weight(space, surplus)
        context.save_for_backward(weight)
        context.normal, context.n_iterations = normal, n_iterations
        return space.solution(weight)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        (weight,) = context.saved_tensors
        return solve(context.normal, weight, gradients[0], context.n_iterations), None, None, None


def agreeing_weight(space: KrylovSpace, surplus: Tensor) -> Tensor:
    """The largest λ (batch, 1, 1) whose solution takes the surplus (batch, 1, 1) away."""
    low = torch.full_like(surplus, LEAST_WEIGHT).log()
    high = torch.full_like(surplus, MOST_WEIGHT).log()
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        enough = space.gain(middle.exp()) >= surplus
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return low.exp()
