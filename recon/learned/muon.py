"""The optimiser: momentum whose matrices are made orthogonal before every step, so that all directions of a layer learn alike.

    m ← β m + (1 - β) g,     u = (1 - β) g + β m,     W ← W - rate √max(1, rows / columns) (u uᵀ)^(-½) u

The inverse root comes from a few Newton-Schulz iterations in matrix products alone (Jordan et al. 2024; Liu et al. 2025,
arXiv:2502.16982). A kernel (out, in, 3, 3) is a matrix (out, in · 9). What is no matrix is stepped by Adam.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import Parameter

MOMENTUM = 0.95
ITERATIONS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's: singular values between 0.01 and 1 come to 0.7 to 1.2
ADAM_RATE = 0.04  # of the matrices' rate
ADAM_AVERAGES = (0.9, 0.995)
SMALLEST = 1e-8
KERNEL_DIMS = 4


class Muon(torch.optim.Optimizer):
    """Steps matrices along their orthogonal momentum and everything else as Adam does."""

    def __init__(self, parameters: Iterable[Parameter], rate: float = 0.02) -> None:
        super().__init__(parameters, {"lr": rate})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure: losses are never evaluated again
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                change = self._matrix_step if parameter.ndim == KERNEL_DIMS else self._adam_step
                change(parameter, parameter.grad, group["lr"])

    def _matrix_step(self, parameter: Parameter, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        momentum = state.setdefault("momentum", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - MOMENTUM)
        direction = gradient.lerp(momentum, MOMENTUM).flatten(1)
        scale = max(1.0, direction.shape[0] / direction.shape[1]) ** 0.5
        parameter.sub_(orthogonal(direction).view_as(parameter), alpha=rate * scale)

    def _adam_step(self, parameter: Parameter, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        count = state.setdefault("count", torch.zeros(()))
        mean = state.setdefault("mean", torch.zeros_like(gradient))
        square = state.setdefault("square", torch.zeros_like(gradient))
        count += 1
        first, second = ADAM_AVERAGES
        mean.lerp_(gradient, 1 - first)
        square.lerp_(gradient.square(), 1 - second)
        size = (square / (1 - second ** float(count))).sqrt() + SMALLEST
        parameter.sub_(ADAM_RATE * rate / (1 - first ** float(count)) * mean / size)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthogonal rows or columns, roughly: singular values of about 1."""
    x = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + SMALLEST)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if matrix.shape[0] > matrix.shape[1] else x
