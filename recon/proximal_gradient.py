"""Accelerated proximal gradient descent for  ½ ‖A x - y‖² + R(x).

    z = x + β (x - x_before),     x_next = prox_{c s R/L}( z - s (Aᴴ A z - Aᴴ y) / L )

Steps s are longer than those of FISTA (Beck and Teboulle 2009, doi:10.1137/080716542), which the bound on the momentum β allows:
s < (2 + 2β) / (1 + 2β). The momentum grows as there and starts again when it points uphill (O'Donoghue and Candès 2015,
doi:10.1007/s10208-013-9150-3), for each slice by itself. The prior is first c times too strong and relaxes to its own strength,
so that aliasing, which is widespread and weak, goes before it is taken for structure (continuation: Hale et al. 2008,
doi:10.1137/070698920): at R = 6 half the iterations at equal error. The prior shifts its wavelets from call to call, so iterates
jitter around the solution; the result is the mean of the last ones that had the prior at its own strength, and the change between
such means, in noise standard deviations, decides when to stop.
"""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.iterates import Iterates, Schedule
from knerve.recon.plain_iterates import PlainIterates, inner
from knerve.recon.sparsity import CYCLE, SparsityPrior

AVERAGED = CYCLE  # iterates in one mean: one cycle of the wavelets' shifts
STEP = 1.25  # s; `iterates.MOMENTUM_BOUND` allows 1.35
FIRST_STRENGTH_POWER = 2.2  # c starts as this power of the acceleration: measured at R = 2 to 6


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
    schedule = Schedule(_first_strength(encoding))
    mean = result = torch.zeros_like(right_side)
    finished = torch.zeros_like(lipschitz, dtype=torch.bool)
    was_relaxed = torch.zeros_like(finished)
    for start in range(0, max_iterations, AVERAGED):
        is_relaxed = schedule.strength <= 1
        iterates.advance_by(min(AVERAGED, max_iterations - start), schedule)
        earlier_mean, mean = mean, iterates.take_mean()
        # a finished slice keeps its result: what it becomes must not depend on its neighbours in the batch
        result = torch.where(finished, result, torch.where(was_relaxed, (mean + earlier_mean) / 2, mean))
        was_relaxed = is_relaxed
        change = mean - earlier_mean
        finished = finished | ((inner(change, change) < goal**2) & (schedule.strength <= 1) & (start > 0))
        if bool(finished.all()):
            break
    return result


def _iterates(encoding: CartesianEncoding, right_side: Tensor, prior: SparsityPrior, lipschitz: Tensor) -> Iterates:
    """The fused kernels where they know the problem; they are loaded only when needed."""
    if encoding.maps.is_cuda:
        from knerve.recon.cuda_iterates import CudaIterates, can_run

        return (CudaIterates if can_run(encoding, prior) else PlainIterates)(encoding, right_side, prior, lipschitz)
    from knerve.recon.fused_iterates import FusedIterates, can_fuse

    return (FusedIterates if can_fuse(encoding, prior) else PlainIterates)(encoding, right_side, prior, lipschitz)


def _first_strength(encoding: CartesianEncoding) -> Tensor:
    """How many times too strong the prior is at first, per slice, (slice, 1, ...)."""
    strength = encoding.sampled_fraction.clamp(min=1e-3) ** -FIRST_STRENGTH_POWER
    return strength.reshape(-1, *(1,) * (len(encoding.image_shape) - 1))


def _typical_noise(encoding: CartesianEncoding) -> Tensor:
    """Norm of the noise over the object if every line had been sampled, per slice, (slice, 1, ...)."""
    object_pixels = (encoding.maps != 0).any(dim=3).flatten(1).sum(1).clamp(min=1)
    averages = encoding.counts.flatten(1).amax(1).clamp(min=1)
    return (object_pixels / averages).sqrt().reshape(-1, *(1,) * (len(encoding.image_shape) - 1))
