"""What the network works on: one slice's data, where it starts, and how much noise unfolding leaves where.

Everything is divided by the largest number of averages n, so that Aᴴ A has no eigenvalue above 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Normal = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """Images of a batch that shares one encoding.

    Attributes:
        right: Aᴴ y / n, (batch, x, y) complex64.
        start: compressed sensing, where the network starts, same shape.
        noise: float32, (x, y): standard deviation of the complex noise in the linear solution.
    """

    right: Tensor
    start: Tensor
    noise: Tensor

    def scaled(self, factor: float) -> Problem:
        """The same in other units."""
        return Problem(factor * self.right, factor * self.start, factor * self.noise)


@dataclass(frozen=True)
class PlainNormal:
    """x -> Aᴴ A x / n for 2-D slices in plain, differentiable tensor operations.

    Attributes:
        maps: complex64, (x, coil, y).
        power: (y) counts over the largest of them, ky = 0 at index n // 2.
    """

    maps: Tensor
    power: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        """(batch, x, y) to the same."""
        coil_images = self.maps * image.unsqueeze(2)
        kspace = torch.fft.fft(coil_images, dim=-1) * torch.fft.ifftshift(self.power)
        return (self.maps.conj() * torch.fft.ifft(kspace, dim=-1)).sum(2)
