"""Interpolation of smooth fields from a coarse periodic grid to the image grid: four neighbours per axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cubic_neighbours(n_fine: int, n_coarse: int, reach: float = 1.0) -> tuple[Tensor, Tensor]:
    """Coarse neighbours of every fine point and their cubic (Catmull-Rom) weights, both (fine, 4): int64 and float32.

    Both grids have their origin at index n // 2; the coarse one wraps around. `reach` is its extent over the fine one's.
    """
    spacing = reach * n_fine / n_coarse
    position = (torch.arange(n_fine, dtype=torch.float64) - n_fine // 2) / spacing + n_coarse // 2
    left = torch.floor(position)
    t = position - left
    weights = (
        -0.5 * t**3 + t**2 - 0.5 * t,
        1.5 * t**3 - 2.5 * t**2 + 1,
        -1.5 * t**3 + 2 * t**2 + 0.5 * t,
        0.5 * t**3 - 0.5 * t**2,
    )
    neighbours = (left.long()[:, None] + torch.arange(-1, 3)) % n_coarse
    return neighbours, torch.stack(weights, dim=1).float()


def interpolation_matrix(n_fine: int, n_coarse: int) -> Tensor:
    """The same as a matrix, (fine, coarse)."""
    if n_fine == n_coarse:
        return torch.eye(n_fine)
    neighbours, weights = cubic_neighbours(n_fine, n_coarse)
    rows = torch.arange(n_fine)[:, None].expand_as(neighbours)
    return torch.zeros(n_fine, n_coarse).index_put_((rows, neighbours), weights, accumulate=True)


def interpolate_rows(coarse: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Interpolate real values along all axes but x: (coarse [z,] y, x, value) to (coarse x, value, fine [z,] y).

    Args:
        coarse: float32 values on the coarse grid.
        matrices: one (fine, coarse) matrix per axis, in the order ([z,] y).
    """
    columns = coarse.movedim((-2, -1), (0, 1)).contiguous()  # (x, value, [z,] y)
    rows = columns @ matrices[-1].T
    return matrices[0] @ rows if len(matrices) == 2 else rows
