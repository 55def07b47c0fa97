"""Where the last kernel of an iteration puts the new images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class CudaUpdate:
    """Where new images go, and what is made of them on the way; complex64 (slice, x, set, y).

    Attributes:
        x: images of this iteration.
        before: images of the iteration before; the new ones take their place.
        momentum: β of z = x + β (x - before), (slice).
        mean: running mean of images.
        share: of the new images that is added to the mean.
    """

    x: Tensor
    before: Tensor
    momentum: Tensor
    mean: Tensor
    share: float
