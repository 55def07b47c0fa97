"""Interpolation of smooth fields from a coarse periodic grid to the image grid, as one small matrix per axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def interpolation_matrix(n_fine: int, n_coarse: int) -> Tensor:
    """Cubic (Catmull-Rom) weights, (fine, coarse); both grids have their origin at index n // 2 and wrap around."""
    if n_fine == n_coarse:
        return torch.eye(n_fine)
    position = (torch.arange(n_fine, dtype=torch.float64) - n_fine // 2) * (n_coarse / n_fine) + n_coarse // 2
    left = torch.floor(position)
    t = position - left
    weights = (
        -0.5 * t**3 + t**2 - 0.5 * t,
        1.5 * t**3 - 2.5 * t**2 + 1,
        -1.5 * t**3 + 2 * t**2 + 0.5 * t,
        0.5 * t**3 - 0.5 * t**2,
    )
    matrix = torch.zeros(n_fine, n_coarse, dtype=torch.float64)
    rows = torch.arange(n_fine)
    for offset, weight in enumerate(weights):
        matrix.index_put_((rows, (left.long() + offset - 1) % n_coarse), weight, accumulate=True)
    return matrix.float()


def interpolate_columns(coarse: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Interpolate real values, (coarse [z,] y, x, value) to (fine x, value, [z,] y): the layout of hybrid space.

    Args:
        coarse: float32 values on the coarse grid.
        matrices: one (fine, coarse) matrix per axis, in the order ([z,] y, x).
    """
    columns = coarse.movedim((-2, -1), (0, 1)).contiguous()  # (x, value, [z,] y)
    fine = columns @ matrices[-2].T
    if len(matrices) == 3:
        fine = matrices[0] @ fine
    return (matrices[-1] @ fine.flatten(1)).unflatten(1, fine.shape[1:])
