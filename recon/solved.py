"""What a method makes of a batch of slices, before it is brought to the scan's own grid and units."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Solved:
    """Images of a batch of slices.

    Attributes:
        image: (slice, x, set, [z,] y).
        noise: standard deviation of the linear solution, same shape, where it was needed.
        is_learned: whether a network made any of them.
        notes: for the user.
    """

    image: Tensor
    noise: Tensor | None = None
    is_learned: bool = False
    notes: tuple[str, ...] = ()
