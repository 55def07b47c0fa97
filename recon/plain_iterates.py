"""The iterates of the proximal gradient method, in plain tensor operations: any device, any prior, many slices at once.

z = x + β (x - x_before),      x_next = prox_{c R/L}( z - (Aᴴ A z - Aᴴ y) / L )
"""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.iterates import Iterates
from knerve.recon.sparsity import SparsityPrior


class PlainIterates(Iterates):
    """See `knerve.recon.iterates.Iterates`; the arguments are those of `proximal_gradient`."""

    def __init__(
        self, encoding: CartesianEncoding, right_side: Tensor, prior: SparsityPrior, lipschitz: Tensor
    ) -> None:
        self.encoding, self.right_side, self.prior, self.lipschitz = encoding, right_side, prior, lipschitz
        self.x = self.x_before = torch.zeros_like(right_side)
        self.mean = torch.zeros_like(right_side)

    def advance(self, momentum: Tensor, strength: Tensor, share: float) -> Tensor:
        """The next iterate; see the base class."""
        z = self.x + momentum * (self.x - self.x_before)
        gradient = self.encoding.normal(z) - self.right_side
        x_next = self.prior.prox(z - gradient / self.lipschitz, strength / self.lipschitz)
        uphill = inner(z - x_next, x_next - self.x)
        self.x_before, self.x = self.x, x_next
        self.mean += share * x_next
        return uphill

    def take_mean(self) -> Tensor:
        """The mean since the last call, shaped as the right side."""
        mean, self.mean = self.mean, torch.zeros_like(self.mean)
        return mean


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Real inner product of each slice, (slice, 1, ...)."""
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1)).real.reshape(-1, *(1,) * (a.ndim - 1))
