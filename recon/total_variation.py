"""Total variation: the sum of gradient magnitudes, and the denoiser that lowers it (its proximal operator).

    prox(v) = argmin_x ½ ‖x - v‖² + λ Σ |∇x|,        ∇ periodic forward differences, |·| over axes and complex parts

solved on the dual by projected gradients: Chambolle 2005, doi:10.1007/11585978_10. Within an iterative reconstruction each call
goes on where the last one ended, and one step a call is enough: eight change the error of a knee by less than 1 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gradient(image: Tensor, dims: Sequence[int]) -> Tensor:
    """Periodic forward differences along `dims`, stacked first: (axis, ...)."""
    return torch.stack([torch.roll(image, -1, d) - image for d in dims])


def divergence(field: Tensor, dims: Sequence[int]) -> Tensor:
    """Minus the adjoint of `gradient`."""
    return torch.stack([part - torch.roll(part, 1, d) for part, d in zip(field, dims, strict=True)]).sum(0)


def variation_step(
    image: Tensor, weight: Tensor, dims: Sequence[int], dual: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One step towards prox(image); returns the image so far and the dual field, from which the next call goes on.

    Args:
        image: v, complex, any shape.
        weight: λ, broadcasts over `image`.
        dims: the spatial axes.
        dual: field of an earlier call.
    """
    field = gradient(image, dims).zero_() if dual is None else dual
    bound = 4.0 * len(dims)  # ‖∇‖²
    ascent = field + gradient(image + weight * divergence(field, dims), dims) / (bound * weight.clamp(min=1e-12))
    field = ascent / torch.linalg.vector_norm(ascent, dim=0).clamp(min=1.0)
    return image + weight * divergence(field, dims), field
