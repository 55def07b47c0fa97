"""A mask that fades instead of cutting."""

from __future__ import annotations

from torch import Tensor


def soft_mask(values: Tensor, band: tuple[float, float]) -> Tensor:
    """0 where `values` lie below the band, 1 where they lie above it, smooth between."""
    low, high = band
    t = ((values - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
