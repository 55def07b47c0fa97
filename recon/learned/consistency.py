"""Regularised least squares by a few conjugate gradients, and gradients through them.

(Aᴴ A + λ)⁻¹ b is what the data say about an image b; λ is noise over signal, never 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from knerve.recon.learned.problem import Normal

NO_POWER = 1e-30


def solve(normal: Normal, weight: Tensor, right: Tensor, n_iterations: int) -> Tensor:
    """Conjugate gradients for (Aᴴ A + λ) x = right from zero, every image (batch, x, y) with its own step."""
    x = torch.zeros_like(right)
    residual = right
    direction = right
    power = inner(residual, residual)
    for _ in range(n_iterations):
        image = normal(direction) + weight * direction
        step = power / inner(direction, image).clamp(min=NO_POWER)
        x = x + step * direction
        residual = residual - step * image
        new_power = inner(residual, residual)
        direction = residual + (new_power / power.clamp(min=NO_POWER)) * direction
        power = new_power
    return x


def differentiable_solve(normal: Normal, weight: float, right: Tensor, n_iterations: int) -> Tensor:
    """`solve` with gradients to the right side, as if the system had been solved exactly.

    Args:
        normal: Aᴴ A, (batch, x, y) to the same.
        weight: λ.
        right: of the system.
        n_iterations: of conjugate gradients, on the way back too.
    """
    result: Tensor = _Solve.apply(right, right.real.new_tensor(weight), normal, n_iterations)  # type: ignore[no-untyped-call]  # torch's own
    return result


class _Solve(Function):
    """With M = Aᴴ A + λ and x = M⁻¹ b:  ∂x/∂b = M⁻¹, which is its own adjoint."""

    @staticmethod
    def forward(
        context: Any,  # noqa: ANN401 - torch's own context has no type
        right: Tensor,
        weight: Tensor,
        normal: Normal,
        n_iterations: int,
    ) -> Tensor:
        context.save_for_backward(weight)
        context.normal, context.n_iterations = normal, n_iterations
        return solve(normal, weight, right, n_iterations)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        (weight,) = context.saved_tensors
        return solve(context.normal, weight, gradients[0], context.n_iterations), None, None, None


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Real inner product of each image, (batch, 1, 1)."""
    return (torch.view_as_real(a.resolve_conj()) * torch.view_as_real(b.resolve_conj())).sum((1, 2, 3))[:, None, None]
