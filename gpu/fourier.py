"""Centred, orthonormal Fourier transforms: the origin is at index n // 2 on both sides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def to_kspace(image: Tensor, dims: Sequence[int]) -> Tensor:
    """Image to k-space along `dims`."""
    dims = tuple(dims)
    shifted = torch.fft.ifftshift(image, dim=dims)
    return torch.fft.fftshift(torch.fft.fftn(shifted, dim=dims, norm="ortho"), dim=dims)


def to_image(kspace: Tensor, dims: Sequence[int]) -> Tensor:
    """k-space to image along `dims`, the inverse and adjoint of `to_kspace`."""
    dims = tuple(dims)
    shifted = torch.fft.ifftshift(kspace, dim=dims)
    return torch.fft.fftshift(torch.fft.ifftn(shifted, dim=dims, norm="ortho"), dim=dims)


def resize_centred(values: Tensor, dim: int, size: int) -> Tensor:
    """Crop or zero-pad along `dim` to `size`, keeping the origin (index n // 2) at the origin."""
    n = values.shape[dim]
    if size == n:
        return values
    if size < n:
        return values.narrow(dim, n // 2 - size // 2, size)
    shape = list(values.shape)
    shape[dim] = size
    padded = values.new_zeros(shape)
    padded.narrow(dim, size // 2 - n // 2, n).copy_(values)
    return padded


def phase_of_shift(n: int, n_columns: int) -> Tensor:
    """What shifting the origin of n samples before a transform is for the central columns after it, (x) complex128."""
    left = n_columns // 2
    frequency = torch.arange(-left, n_columns - left, dtype=torch.float64)
    turns = torch.remainder(frequency * (n // 2), n) / n
    return torch.exp(-2j * math.pi * turns)
