"""Regularised least squares for every weight at once, from a few applications of Aᴴ A.

In a Krylov space of b, with V its basis, T = Vᴴ Aᴴ A V and b = β v₁ (Lanczos), for every λ

    δ = (Aᴴ A + λ)⁻¹ b  ≈  V (T + λ)⁻¹ β e₁,     what conjugate gradients would have found in as many steps

and where b = Aᴴ y - Aᴴ A z, the change from z to z + δ lowers ‖A z - y‖² by ⟨δ, b⟩ + λ ⟨δ, δ⟩.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from knerve.recon.learned.consistency import NO_POWER, inner
from knerve.recon.learned.problem import Normal


@dataclass(frozen=True)
class KrylovSpace:
    """Of images (batch, x, y).

    Attributes:
        basis: V, (dimension, batch, x, y).
        tridiagonal: T, (batch, dimension, dimension).
        size: β, (batch, 1).
    """

    basis: Tensor
    tridiagonal: Tensor
    size: Tensor

    def of_first(self, n: int) -> KrylovSpace:
        """The space after fewer applications."""
        return KrylovSpace(self.basis[:n], self.tridiagonal[:, :n, :n], self.size)

    def solution(self, weight: Tensor) -> Tensor:
        """δ, (batch, x, y), for λ (batch or 1, 1, 1)."""
        values, vectors = self._eigen
        parts = self._along_first / (values + weight[:, :, 0])
        along_basis = (vectors * parts[:, None]).sum(2)  # no matrix product: that would be rounded where networks are
        return torch.einsum("bd,dbxy->bxy", along_basis.to(self.basis.dtype), self.basis)

    def gain(self, weight: Tensor) -> Tensor:
        """By how much δ lowers ‖A z - y‖², (batch, 1, 1)."""
        ridged = self._eigen[0] + weight[:, :, 0]
        square = self._along_first.square()
        return (square / ridged + weight[:, :, 0] * square / ridged.square()).sum(1)[:, None, None]

    @cached_property
    def _eigen(self) -> tuple[Tensor, Tensor]:
        """Values (batch, dimension) and vectors, in columns, of T."""
        values, vectors = torch.linalg.eigh(self.tridiagonal.cpu())  # a GPU's libraries are slow with few numbers
        return values.to(self.tridiagonal.device), vectors.to(self.tridiagonal.device)

    @property
    def _along_first(self) -> Tensor:
        """β e₁ in the eigenvectors, (batch, dimension)."""
        return self.size * self._eigen[1][:, 0]


def krylov_space(normal: Normal, right: Tensor, n_iterations: int) -> KrylovSpace:
    """Lanczos' iteration from images (batch, x, y)."""
    size = inner(right, right).sqrt()
    basis = [right / size.clamp(min=NO_POWER)]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for k in range(n_iterations):
        image = normal(basis[k])
        diagonal.append(inner(basis[k], image))
        image = image - diagonal[k] * basis[k]
        if k:
            image = image - beside[k - 1] * basis[k - 1]
        if k + 1 < n_iterations:
            beside.append(inner(image, image).sqrt())
            basis.append(image / beside[k].clamp(min=NO_POWER))
    tridiagonal = torch.diag_embed(torch.cat(diagonal, dim=1)[..., 0])
    if beside:
        off = torch.cat(beside, dim=1)[..., 0]
        tridiagonal = tridiagonal + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    return KrylovSpace(torch.stack(basis), tridiagonal, size[:, 0])
