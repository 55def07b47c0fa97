"""Conjugate gradients for Hermitian positive definite systems, every slice of a batch with its own step.

Method: Hestenes and Stiefel 1952, doi:10.6028/jres.049.044.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradient(
    operator: Callable[[Tensor], Tensor], right_side: Tensor, *, tolerance: float, max_iterations: int
) -> Tensor:
    """Solve operator(x) = right_side, starting from zero.

    Args:
        operator: linear (over the reals suffices), Hermitian positive definite, acts on every slice by itself.
        right_side: (slice, ...) complex64.
        tolerance: a slice is finished when its residual norm is below `tolerance` times that of its right side.
        max_iterations: upper bound.
    """
    x = torch.zeros_like(right_side)
    residual = right_side.clone()
    direction = residual.clone()
    power = _inner(residual, residual)
    goal = power * tolerance**2
    for _ in range(max_iterations):
        if bool((power <= goal).all()):
            break
        image = operator(direction)
        curvature = _inner(direction, image)
        step = torch.where(power > goal, power / curvature.clamp(min=1e-30), torch.zeros_like(power))
        x += step * direction
        residual -= step * image
        new_power = _inner(residual, residual)
        direction = residual + (new_power / power.clamp(min=1e-30)) * direction
        power = new_power
    return x


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Real inner product of each slice, shaped to broadcast over it; float64 sums."""
    products = (a.real.double() * b.real + a.imag.double() * b.imag).flatten(1).sum(1)
    return products.to(torch.float32).reshape(-1, *(1,) * (a.ndim - 1))
