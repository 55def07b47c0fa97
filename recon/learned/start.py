"""From an encoding and its right side to the problems that the network solves, slice by slice."""

from __future__ import annotations

from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.learned.consistency import solve
from knerve.recon.learned.problem import Normal, Problem
from knerve.recon.regularisation import largest_count

LINEAR_ITERATIONS = 12


def problem_of_slice(
    encoding: CartesianEncoding, right_side: Tensor, classical: Tensor, noise: Tensor, s: int
) -> Problem:
    """The problem of slice `s`.

    Args:
        encoding: of 2-D slices with one set of sensitivities.
        right_side: Aᴴ y, (slice, x, 1, y).
        classical: compressed sensing, same shape.
        noise: standard deviation of the linear solution, same shape.
        s: which slice.
    """
    averages = largest_count(encoding)[s]
    return Problem((right_side[s] / averages)[:, 0][None], classical[s, :, 0][None], noise[s, :, 0])


def linear_solution(problem: Problem, normal: Normal, weight: Tensor) -> Tensor:
    """Lightly regularised SENSE, (batch, x, y), from where the network starts.

    Args:
        problem: the data.
        normal: Aᴴ A.
        weight: Wiener's, over the averages.
    """
    missing = problem.right - normal(problem.start) - weight * problem.start
    return problem.start + solve(normal, weight, missing, LINEAR_ITERATIONS)
