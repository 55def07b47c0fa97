"""What in an image came from the prior: the part that the sampled lines hardly see.

    P_null x = x - (Aᴴ A + λ)⁻¹ Aᴴ A x = λ (Aᴴ A + λ)⁻¹ x,     λ = 0.05 of what a fully sampled scan sees

shown in noise standard deviations of the linear solution. The data can neither support nor contradict it: the method has filled
it in, rightly or not. After the hallucination maps of Bhadra et al. 2021, doi:10.1109/TMI.2021.3077857, without their truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.learned.consistency import solve
from knerve.recon.learned.maps.deviation import in_noise
from knerve.recon.learned.maps.linear import Linear

UNSEEN = 0.05  # λ: Aᴴ A has no eigenvalue above 1
ITERATIONS = 40  # of conjugate gradients


@dataclass(frozen=True)
class PriorShare:
    """Of one slice.

    Attributes:
        part: P_null x, complex64, (x, y).
        size: float32, (x, y): its magnitude in noise standard deviations.
        energy: its part of the image's energy, 0 to 1.
    """

    part: Tensor
    size: Tensor
    energy: float


def null_space_part(image: Tensor, linear: Linear) -> Tensor:
    """P_null x of a complex image x (x, y)."""
    weight = torch.tensor(UNSEEN, device=image.device)
    return weight * solve(linear.normal, weight, image[None], ITERATIONS)[0]


def prior_share(image: Tensor, linear: Linear) -> PriorShare:
    """Take an image (x, y) apart."""
    image = image * (linear.noise > 0)
    part = null_space_part(image, linear)
    energy = image.abs().square().sum().clamp(min=1e-30)
    return PriorShare(part, in_noise(part, linear), float(part.abs().square().sum() / energy))
