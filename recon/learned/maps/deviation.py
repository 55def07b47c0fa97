"""How far the image lies from the linear solution, in noise standard deviations, and where the bound held it back.

    |x - x_lin| / σ        at most `trust.BOUND` for the learned method; other methods have no bound

A structure that stands out here was made, removed or reshaped by the method, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.learned.maps.linear import Linear
from knerve.recon.learned.trust import BOUND

AT_BOUND = 0.9999  # rounding may leave a clipped pixel a little inside


@dataclass(frozen=True)
class Deviation:
    """Of one slice.

    Attributes:
        size: float32, (x, y), noise standard deviations; 0 where the coils see nothing.
        at_bound: bool, (x, y): held back at the bound, or beyond it for a method without one.
    """

    size: Tensor
    at_bound: Tensor


def deviation(image: Tensor, linear: Linear) -> Deviation:
    """Measure an image (x, y)."""
    size = in_noise(image - linear.image, linear)
    return Deviation(size, size >= AT_BOUND * BOUND)


def in_noise(difference: Tensor, linear: Linear) -> Tensor:
    """Magnitude of a complex difference (x, y) in noise standard deviations."""
    return torch.where(linear.noise > 0, difference.abs() / linear.noise.clamp(min=1e-12), 0.0)
