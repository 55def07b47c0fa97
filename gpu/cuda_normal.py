"""Two more ways to the gradient step of `cuda_gradient.py`, in tensor operations: Fourier along ky by FFT or matrix product.

    fft      coil images -> cuFFT -> weights -> cuFFT -> combine
    matrix   coil images · D, weighted, · Dᴴ              D: only the rows of the Fourier matrix that are sampled

The matrix product runs on tensor cores in TF32, whose numbers have 11 bits. Each factor is written as the sum of two such
numbers, a = a₁ + a₂, and a b ≈ a₁ b₁ + a₁ b₂ + a₂ b₁ leaves an error of 2⁻²² per product: three products instead of one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

TF32_MASK = -(1 << 13)  # keeps 10 bits behind the leading one
HALF_TF32 = 1 << 12


class GradientStep(Protocol):
    """A gradient step of a batch of slices; images are complex64 (slice, x, set, y)."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(slice, x, set, y)."""

    def set_counts(self, counts: Tensor) -> None:
        """Take the weights of the lines, (slice, ky), ky = 0 at index n // 2."""

    def __call__(
        self, x: Tensor, before: Tensor, momentum: Tensor, right: Tensor, step: Tensor, target: Tensor
    ) -> None:
        """Fill `target`; momentum and step (slice)."""


class NormalStep(ABC):
    """The step around a normal operator in tensor operations; a subclass says how coil images are weighted in k-space.

    Args:
        maps: complex64 (slice, x, set, coil, y).
        n_lines: along ky, at least as many as rows y.
        imaginary_penalty: μ.
    """

    def __init__(self, maps: Tensor, n_lines: int, imaginary_penalty: float) -> None:
        self._maps, self._n_lines, self._penalty = maps, n_lines, imaginary_penalty

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(slice, x, set, y)."""
        return *self._maps.shape[:3], self._maps.shape[4]

    def __call__(
        self, x: Tensor, before: Tensor, momentum: Tensor, right: Tensor, step: Tensor, target: Tensor
    ) -> None:
        """See `GradientStep`."""
        z = x + momentum.reshape(-1, 1, 1, 1) * (x - before)
        torch.sub(z, step.reshape(-1, 1, 1, 1) * (self.normal(z) - right), out=target)

    def normal(self, image: Tensor) -> Tensor:
        """Sᴴ F⁻¹ w F S z + μ·i Im z."""
        coil_images = (self._maps * image.unsqueeze(3)).sum(2) if image.shape[2] > 1 else self._maps[:, :, 0] * image
        result = torch.linalg.vecdot(self._maps, self._weighted(coil_images).unsqueeze(2), dim=3)
        if self._penalty:
            torch.view_as_real(result)[..., 1] += self._penalty * image.imag
        return result

    @abstractmethod
    def set_counts(self, counts: Tensor) -> None:
        """See `GradientStep`."""

    @abstractmethod
    def _weighted(self, coil_images: Tensor) -> Tensor:
        """F⁻¹ w F of coil images (slice, x, coil, y)."""


class FftStep(NormalStep):
    """With two FFTs."""

    def __init__(self, maps: Tensor, n_lines: int, imaginary_penalty: float) -> None:
        super().__init__(maps, n_lines, imaginary_penalty)
        self._power = torch.zeros(maps.shape[0], 1, 1, n_lines, device=maps.device)

    def set_counts(self, counts: Tensor) -> None:
        """See `GradientStep`."""
        self._power.copy_(torch.fft.ifftshift(counts.to(torch.float32), dim=1)[:, None, None])

    def _weighted(self, coil_images: Tensor) -> Tensor:
        kspace = torch.fft.fft(coil_images, n=self._n_lines, dim=-1)
        kspace *= self._power
        return torch.fft.ifft(kspace, dim=-1)[..., : coil_images.shape[-1]]


class MatrixStep(NormalStep):
    """With two products with the sampled rows of the Fourier matrix, for slices that sample the same lines."""

    _matrices: tuple[Tensor, ...] = ()

    def set_counts(self, counts: Tensor) -> None:
        """See `GradientStep`; all slices have the same lines.

        As many lines as before take their places in memory: a graph may read them there.
        """
        n, n_rows = self._n_lines, self._maps.shape[-1]
        lines = torch.nonzero(counts[0] > 0)[:, 0]
        turns = torch.outer(torch.arange(n_rows, device=counts.device), lines - n // 2).remainder(n).double() / n
        dft = torch.polar(torch.ones_like(turns), -2 * math.pi * turns)  # (y, line)
        weight = counts[0, lines].double() / n
        matrices = (*split(_real_matrix(dft)), *split(_real_matrix(weight[:, None] * dft.mH)))
        if [each.shape for each in matrices] == [each.shape for each in self._matrices]:
            for mine, new in zip(self._matrices, matrices, strict=True):
                mine.copy_(new)
        else:
            self._matrices = matrices

    def _weighted(self, coil_images: Tensor) -> Tensor:
        numbers = torch.view_as_real(coil_images.contiguous()).flatten(-2)  # (slice, x, coil, y · 2)
        flat = numbers.flatten(0, 2)
        with tensor_cores(flat.device):
            lines = product_of_splits(split(flat), self._matrices[:2])
            images = product_of_splits(split(lines), self._matrices[2:])
        return torch.view_as_complex(images.unflatten(-1, (-1, 2))).unflatten(0, coil_images.shape[:3])


def split(values: Tensor) -> tuple[Tensor, Tensor]:
    """Float32 as the sum of two numbers of TF32's precision, but for 2⁻²² of it."""
    values = values.float()
    first = as_tf32(values)
    return first, as_tf32(values - first)


def as_tf32(values: Tensor) -> Tensor:
    """Float32 rounded to the 11 bits of TF32."""
    return ((values.view(torch.int32) + HALF_TF32) & TF32_MASK).view(torch.float32)


def product_of_splits(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
    """a₁ b₁ + a₁ b₂ + a₂ b₁."""
    return torch.addmm(torch.addmm(a[1] @ b[0], a[0], b[1]), a[0], b[0])


@contextmanager
def tensor_cores(device: torch.device) -> Iterator[None]:
    """Let products of float32 use TF32 in this block; what a CPU computes does not change."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _real_matrix(matrix: Tensor) -> Tensor:
    """A complex matrix (m, n) as a real one (2 m, 2 n), for rows whose real and imaginary parts alternate."""
    rows = torch.stack([torch.view_as_real(matrix), torch.view_as_real(1j * matrix)], dim=1)  # (m, 2, n, 2)
    return rows.flatten(2).flatten(0, 1)
