"""From an encoding and its right side to the problems that the network solves, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.learned.krylov import KrylovSpace, krylov_space
from knerve.recon.learned.problem import Normal, Problem
from knerve.recon.learned.unrolled import UNFOLDING_ITERATIONS, UNFOLDING_WEIGHT
from knerve.recon.regularisation import largest_count

LINEAR_ITERATIONS = 8


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


@dataclass(frozen=True)
class FirstLook:
    """What the data say against the image that the network starts from.

    Attributes:
        problem: whose.
        folded: Aᴴ y - Aᴴ A x₀, (batch, x, y).
        space: the Krylov space of that.
    """

    problem: Problem
    folded: Tensor
    space: KrylovSpace

    @property
    def unfolded(self) -> Tensor:
        """D of the first step of `unrolled.py`, as `unrolled.unfolded` makes it."""
        weight = self.folded.real.new_full((1, 1, 1), UNFOLDING_WEIGHT)
        return self.space.of_first(UNFOLDING_ITERATIONS).solution(weight)

    def linear(self, weight: Tensor) -> Tensor:
        """SENSE that is lightly regularised towards x₀, (batch, x, y), with Wiener's weight over the averages."""
        return self.problem.start + self.space.solution(weight.reshape(1, 1, 1))


def first_look(problem: Problem, normal: Normal) -> FirstLook:
    """Look at the data once for all that needs it."""
    folded = problem.right - normal(problem.start)
    return FirstLook(problem, folded, krylov_space(normal, folded, LINEAR_ITERATIONS))


def linear_solution(problem: Problem, normal: Normal, weight: Tensor) -> Tensor:
    """Lightly regularised SENSE, (batch, x, y), from where the network starts.

    Args:
        problem: the data.
        normal: Aᴴ A.
        weight: Wiener's, over the averages.
    """
    return first_look(problem, normal).linear(weight)
