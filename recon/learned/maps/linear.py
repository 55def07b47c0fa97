"""The linear solution of a slice and its noise: what every map measures against.

    x_lin = x_0 + (Aᴴ A + μ)⁻¹ (Aᴴ y - Aᴴ A x_0)        μ: noise power over signal power (Wiener)
    σ     its noise standard deviation per real part, from the analytic noise map

x_0 is compressed sensing, as in the method itself, so that the deviation shown is the one that was bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from knerve.recon.learned.fused_normal import normal_of_slice
from knerve.recon.learned.maps.prepared import PreparedSlice
from knerve.recon.learned.problem import Normal
from knerve.recon.learned.start import linear_solution, problem_of_slice
from knerve.recon.methods import wiener_weight
from knerve.recon.noise_map import analytic_noise_map
from knerve.recon.regularisation import largest_count


@dataclass(frozen=True)
class Linear:
    """Of one slice.

    Attributes:
        image: x_lin, (x, y).
        noise: σ, float32, (x, y); 0 outside of the object.
        normal: Aᴴ A over the averages, (batch, x, y) to the same.
        weight: μ over the averages.
    """

    image: Tensor
    noise: Tensor
    normal: Normal
    weight: Tensor


def linear_of(slice_: PreparedSlice, start: Tensor) -> Linear:
    """Solve the slice linearly.

    Args:
        slice_: with one set of sensitivities.
        start: compressed sensing, (1, x, 1, y).
    """
    encoding, right_side = slice_.encoding, slice_.right_side
    wiener = wiener_weight(encoding, right_side)
    noise = analytic_noise_map(encoding, wiener)
    problem = problem_of_slice(encoding, right_side, start, noise, 0)
    normal = normal_of_slice(encoding, 0)
    weight = wiener.reshape(()) / largest_count(encoding).reshape(())
    return Linear(linear_solution(problem, normal, weight)[0], problem.noise / 2**0.5, normal, weight)
