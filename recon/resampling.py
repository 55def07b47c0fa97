"""From the acquired grid to the grid of the images: exact band-limited interpolation along one axis.

Zero-filling k-space does this for whole-number ratios only; a small matrix does it for any pair of grids, so that field of
view and pixel size come out exactly as the header asks. Both grids have their origin at index n // 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.gpu.fourier import resize_centred


def resample(image: Tensor, dim: int, fov_mm: float, new_size: int, new_fov_mm: float) -> Tensor:
    """Band-limited interpolation of `image` along `dim` from its `fov_mm` to `new_size` pixels over `new_fov_mm`.

    Finer grids show the same frequencies, coarser ones only those they can hold; positions outside the old field of view
    are zero.
    """
    n = image.shape[dim]
    if abs(new_size / new_fov_mm - n / fov_mm) < 1e-6 * n / fov_mm:
        return resize_centred(image, dim, new_size)
    position = _positions(new_size, new_fov_mm)
    frequency = torch.arange(n, dtype=torch.float64) - n // 2
    frequency = frequency[frequency.abs() <= new_size / 2 * fov_mm / new_fov_mm]
    to_fine = torch.exp(2j * torch.pi * position[:, None] * frequency[None, :] / fov_mm)
    from_coarse = torch.exp(-2j * torch.pi * frequency[:, None] * (torch.arange(n) - n // 2)[None, :] / n) / n
    matrix = (to_fine @ from_coarse) * _inside(position, fov_mm)[:, None]
    return _apply(matrix.to(torch.complex64), image, dim)


def resample_linear(values: Tensor, dim: int, fov_mm: float, new_size: int, new_fov_mm: float) -> Tensor:
    """Linear interpolation of a real map on the same pair of grids: no ringing."""
    n = values.shape[dim]
    position = _positions(new_size, new_fov_mm)
    place = (position / fov_mm * n + n // 2).clamp(0, n - 1)
    left = place.floor().long().clamp(max=max(0, n - 2))
    share = place - left
    matrix = torch.zeros(new_size, n, dtype=torch.float64)
    rows = torch.arange(new_size)
    matrix[rows, left] = 1 - share
    matrix[rows, (left + 1).clamp(max=n - 1)] += share
    return _apply((matrix * _inside(position, fov_mm)[:, None]).float(), values, dim)


def _positions(size: int, fov_mm: float) -> Tensor:
    return (torch.arange(size, dtype=torch.float64) - size // 2) * (fov_mm / size)


def _inside(position: Tensor, fov_mm: float) -> Tensor:
    """1 for positions inside the field of view, half a rounding error generous."""
    return (position.abs() <= fov_mm / 2 * (1 + 1e-6)).to(torch.float64)


def _apply(matrix: Tensor, values: Tensor, dim: int) -> Tensor:
    return torch.tensordot(matrix.to(values.device), values.movedim(dim, 0), dims=1).movedim(0, dim)
