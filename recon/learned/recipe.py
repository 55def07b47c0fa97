"""Recipes of training: every number that decides what the weights become."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from knerve.recon.learned.network import Architecture


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
        architecture: of the network.
        n_scans: simulated scans to learn from.
        n_validation: of these, the first ones, only to look at the error.
        first_steps: optimiser steps for each network alone, on crops of what those before it made.
        first_batch: crops in a step.
        first_twins: how many of these are twins of others.
        first_crop: (x, y) of a crop.
        second_steps: of the last stage: the whole unrolled reconstruction, on strips with their twins; 0 for none.
        second_batch: pairs in a step.
        first_rate: learning rate of each network alone, `Muon`'s.
        second_rate: of the last stage.
        falling_steps: at the end of a stage, in which its rate falls to zero; at most the whole stage.
        response_weight: of the loss of weak structures.
        intermediate_weight: of the images after each step.
        averaging: of the weights over the last steps, exponentially.
        reduced: convolutions in bfloat16 while training.
        seed: of everything random.
    """

    architecture: Architecture = field(default_factory=Architecture)
    n_scans: int = 480
    n_validation: int = 8
    first_steps: int = 17000
    first_batch: int = 6
    first_twins: int = 2
    first_crop: tuple[int, int] = (96, 96)
    second_steps: int = 0
    second_batch: int = 1
    first_rate: float = 0.008
    second_rate: float = 0.0001
    falling_steps: int = 10000
    response_weight: float = 0.3
    intermediate_weight: float = 0.1
    averaging: float = 0.995
    reduced: bool = True
    seed: int = 0

    @property
    def n_steps(self) -> int:
        """Of all stages."""
        return self.architecture.n_steps * self.first_steps + self.second_steps

    def as_dict(self) -> dict[str, object]:
        """Plain names and values."""
        return asdict(self)


CPU = Recipe()
"""CPU: less than two hours on two cores."""

GPU = Recipe(
    architecture=Architecture(widths=(48, 96, 128), encoder_blocks=(1, 1, 2), n_steps=3),
    n_scans=3000,
    n_validation=40,
    first_steps=20000,
    first_batch=64,
    first_twins=20,
    second_steps=8000,
    second_batch=8,
    averaging=0.999,
    reduced=True,
)
"""One GPU."""

RECIPES = {"cpu": CPU, "gpu": GPU}
