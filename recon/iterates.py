"""What the proximal gradient method asks of its iterates, and the momentum and strength that it gives to them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

MOMENTUM_BOUND = 0.9
RELAXATION = 0.85  # of c from one iteration to the next


class Schedule:
    """Momentum β and strength c of the prior for the next iteration, per slice (slice, 1, ...).

    Its tensors stay in their place, so that a CUDA graph can hold them.
    """

    def __init__(self, first_strength: Tensor) -> None:
        self.strength = first_strength.clone()
        self.momentum = torch.zeros_like(first_strength)
        self._t = torch.ones_like(first_strength)

    def follow(self, uphill: Tensor) -> None:
        """Move on after an iteration; where `uphill` is positive momentum starts again."""
        self.strength.mul_(RELAXATION).clamp_(min=1)
        t = torch.where(uphill > 0, torch.ones_like(self._t), self._t)
        t_next = (1 + (1 + 4 * t**2).sqrt()) / 2
        self.momentum.copy_(((t - 1) / t_next).clamp(max=MOMENTUM_BOUND))
        self._t.copy_(t_next)

    def copy_from(self, other: Schedule) -> None:
        """Be where another one is."""
        self.strength.copy_(other.strength)
        self.momentum.copy_(other.momentum)
        self._t.copy_(other._t)


class Iterates(ABC):
    """Where the iterates live and how the next one is computed."""

    @abstractmethod
    def advance(self, momentum: Tensor, strength: Tensor, share: float) -> Tensor:
        """The next iterate with β = `momentum` and c = `strength`, of which `share` is added to the mean.

        Returns:
            Re⟨z - x_next, x_next - x⟩ per slice: positive where momentum points uphill.
        """

    @abstractmethod
    def take_mean(self) -> Tensor:
        """The mean since the last call, shaped as the right side."""

    def advance_by(self, n_iterations: int, schedule: Schedule) -> None:
        """Some iterations, which make one mean."""
        for _ in range(n_iterations):
            schedule.follow(self.advance(schedule.momentum, schedule.strength, 1 / n_iterations))
