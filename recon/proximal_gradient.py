"""Accelerated proximal gradient descent for  ½ ‖A x - y‖² + R(x).

    z = x + β (x - x_before),     x_next = prox_{c s R/L}( z - s (Aᴴ A z - Aᴴ y) / L )

Steps s are longer than those of FISTA (Beck and Teboulle 2009, doi:10.1137/080716542), which the bound on the momentum β allows:
s < (2 + 2β) / (1 + 2β). The momentum grows as there and starts again when it points uphill (O'Donoghue and Candès 2015,
doi:10.1007/s10208-013-9150-3), for each slice by itself. The prior is first c times too strong and relaxes to its own strength,
so that aliasing, which is widespread and weak, goes before it is taken for structure (continuation: Hale et al. 2008,
doi:10.1137/070698920): at R = 6 half the iterations at equal error. The prior shifts its wavelets from call to call, so iterates
jitter around the solution; the result is the mean of the last ones, and the change between such means, in noise standard
deviations, decides when to stop.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.plain_iterates import PlainIterates, inner
from knerve.recon.sparsity import CYCLE, SparsityPrior

AVERAGED = CYCLE  # iterates in one mean: one cycle of the wavelets' shifts
MOMENTUM_BOUND = 0.9
STEP = 1.25  # s; the momentum's bound allows 1.35
RELAXATION = 0.85  # of c from one iteration to the next
FIRST_STRENGTH_POWER = 2.6  # c starts as this power of the acceleration: measured at R = 2 to 6


class Iterates(Protocol):
    """Where the iterates live and how the next one is computed."""

    def advance(self, momentum: Tensor, strength: Tensor, share: float) -> Tensor:
        """The next iterate with β = `momentum` and c = `strength`, of which `share` is added to the mean.

        Returns:
            Re⟨z - x_next, x_next - x⟩ per slice: positive where momentum points uphill.
        """

    def take_mean(self) -> Tensor:
        """The mean since the last call, shaped as the right side."""


def proximal_gradient(
    encoding: CartesianEncoding,
    right_side: Tensor,
    prior: SparsityPrior,
    lipschitz: Tensor,
    *,
    tolerance: float,
    max_iterations: int,
) -> Tensor:
    """Minimise ½ ‖A x - y‖² + R(x) for a batch of slices.

    Args:
        encoding: A.
        right_side: Aᴴ y, (slice, x, set, [z,] y) complex64.
        prior: R.
        lipschitz: largest eigenvalue of Aᴴ A per slice, (slice, 1, ...).
        tolerance: root mean square change of the mean image over the object, in noise standard deviations.
        max_iterations: upper bound.

    Returns:
        The image, shaped as `right_side`.
    """
    goal = tolerance * _typical_noise(encoding)
    iterates = _iterates(encoding, right_side, prior, lipschitz / STEP)
    strength = _first_strength(encoding)
    t = torch.ones_like(lipschitz)
    beta = torch.zeros_like(lipschitz)
    mean = result = torch.zeros_like(right_side)
    finished = torch.zeros_like(lipschitz, dtype=torch.bool)
    for start in range(0, max_iterations, AVERAGED):
        n_iterations = min(AVERAGED, max_iterations - start)
        for _ in range(n_iterations):
            uphill = iterates.advance(beta, strength, 1 / n_iterations)
            strength = (RELAXATION * strength).clamp(min=1)
            t = torch.where(uphill > 0, torch.ones_like(t), t)
            t_next = (1 + (1 + 4 * t**2).sqrt()) / 2
            beta, t = ((t - 1) / t_next).clamp(max=MOMENTUM_BOUND), t_next
        earlier_mean, mean = mean, iterates.take_mean()
        # a finished slice keeps its result: what it becomes must not depend on its neighbours in the batch
        result = torch.where(finished, result, (mean + earlier_mean) / 2 if start else mean)
        change = mean - earlier_mean
        finished = finished | ((inner(change, change) < goal**2) & (strength <= 1) & (start > 0))
        if bool(finished.all()):
            break
    return result


def _iterates(encoding: CartesianEncoding, right_side: Tensor, prior: SparsityPrior, lipschitz: Tensor) -> Iterates:
    """The fused kernels where they know the problem; they are loaded only when needed."""
    from knerve.recon.fused_iterates import FusedIterates, can_fuse

    kind = FusedIterates if can_fuse(encoding, prior) else PlainIterates
    return kind(encoding, right_side, prior, lipschitz)


def _first_strength(encoding: CartesianEncoding) -> Tensor:
    """How many times too strong the prior is at first, per slice, (slice, 1, ...)."""
    strength = encoding.sampled_fraction.clamp(min=1e-3) ** -FIRST_STRENGTH_POWER
    return strength.reshape(-1, *(1,) * (len(encoding.image_shape) - 1))


def _typical_noise(encoding: CartesianEncoding) -> Tensor:
    """Norm of the noise over the object if every line had been sampled, per slice, (slice, 1, ...)."""
    object_pixels = (encoding.maps.abs().amax(dim=3) > 0).flatten(1).sum(1).clamp(min=1)
    averages = encoding.counts.flatten(1).amax(1).clamp(min=1)
    return (object_pixels / averages).sqrt().reshape(-1, *(1,) * (len(encoding.image_shape) - 1))
