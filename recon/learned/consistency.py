"""Regularised least squares by a few conjugate gradients, and gradients through them.

    (Aᴴ A + λ)⁻¹ b                                                     what the data say about b, λ: noise over signal
    argmin ‖A x - y‖² + λ ‖x - z‖²  =  z + (Aᴴ A + λ)⁻¹ (Aᴴ y - Aᴴ A z)   soft data consistency of a proposal z

Both as in MoDL (Aggarwal et al. 2019, doi:10.1109/TMI.2018.2865356). The data carry noise, so λ is never 0.
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
    power = _inner(residual, residual)
    for _ in range(n_iterations):
        image = normal(direction) + weight * direction
        step = power / _inner(direction, image).clamp(min=NO_POWER)
        x = x + step * direction
        residual = residual - step * image
        new_power = _inner(residual, residual)
        direction = residual + (new_power / power.clamp(min=NO_POWER)) * direction
        power = new_power
    return x


def differentiable_solve(normal: Normal, weight: Tensor, right: Tensor, n_iterations: int) -> Tensor:
    """`solve` with gradients to the right side and to λ, as if the system had been solved exactly.

    Args:
        normal: Aᴴ A, (batch, x, y) to the same.
        weight: λ, a scalar.
        right: of the system.
        n_iterations: of conjugate gradients, on the way back too.
    """
    result: Tensor = _Solve.apply(right, weight, normal, n_iterations)  # type: ignore[no-untyped-call]  # torch's own
    return result


class _Solve(Function):
    """With M = Aᴴ A + λ and x = M⁻¹ b:  ∂x/∂b = M⁻¹, which is its own adjoint, and ∂x/∂λ = -M⁻¹ x."""

    @staticmethod
    def forward(
        context: Any,  # noqa: ANN401 - torch's own context has no type
        right: Tensor,
        weight: Tensor,
        normal: Normal,
        n_iterations: int,
    ) -> Tensor:
        image = solve(normal, weight, right, n_iterations)
        context.save_for_backward(weight, image)
        context.normal, context.n_iterations = normal, n_iterations
        return image

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - as above
        weight, image = context.saved_tensors
        solved = solve(context.normal, weight, gradients[0], context.n_iterations)
        to_weight = -_inner(solved, image).sum().reshape(weight.shape) if context.needs_input_grad[1] else None
        return solved, to_weight, None, None


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Real inner product of each image, (batch, 1, 1)."""
    return (torch.view_as_real(a.resolve_conj()) * torch.view_as_real(b.resolve_conj())).sum((1, 2, 3))[:, None, None]
