"""Crops of samples, on which one network learns alone, and the crops of their twins."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from knerve.recon.learned.losses import REACH
from knerve.recon.learned.sample import TrainingSample

TRIALS, LEAST_FILLED = 8, 0.4
IMAGES = ("start", "folded", "unfolded", "truth", "twin_start", "twin_folded", "twin_unfolded", "insert")


@dataclass(frozen=True)
class Crops:
    """Parts (batch, x, y) of samples, named as in `TrainingSample`.

    `gains` is what compressed sensing shows of each inserted structure, where it lies; elsewhere not a number.
    """

    start: Tensor
    folded: Tensor
    unfolded: Tensor
    truth: Tensor
    twin_start: Tensor
    twin_folded: Tensor
    twin_unfolded: Tensor
    insert: Tensor
    noise: Tensor
    weight: Tensor
    gains: Tensor

    def with_twins(self, n: int) -> Crops:
        """These, then the twins of the first n."""
        both = {field.name: getattr(self, field.name) for field in fields(self)}
        more = {"start": "twin_start", "folded": "twin_folded", "unfolded": "twin_unfolded", "truth": "insert"}
        twins = {name: both[name][:n] + (both[more[name]][:n] if name in more else 0) for name in both}
        return Crops(**{name: torch.cat([both[name], twins[name]]) for name in both})

    def places(self, k: int) -> Tensor:
        """(place, 2) of the structures that lie inside crop k."""
        inside = torch.zeros(self.gains[k].shape, dtype=torch.bool, device=self.gains.device)
        inside[REACH:-REACH, REACH:-REACH] = True
        return torch.nonzero(inside & ~self.gains[k].isnan())

    def to(self, device: torch.device) -> Crops:
        """The same on another device."""
        return Crops(*(getattr(self, field.name).to(device) for field in fields(self)))


def crops_of(samples: list[TrainingSample], size: tuple[int, int], random: np.random.Generator) -> Crops:
    """One crop of each sample, mirrored or not, its phases reversed or not; their mean means nothing to the networks."""
    rows = [_crop(sample, size, random) for sample in samples]
    return Crops(**{name: torch.stack([row[name] for row in rows]) for name in rows[0]})


def _crop(sample: TrainingSample, size: tuple[int, int], random: np.random.Generator) -> dict[str, Tensor]:
    place = _filled_place(sample.weight, size, random)
    reverse = torch.conj_physical if random.random() < 0.5 else torch.clone
    mirrored = [dim for dim in (0, 1) if random.random() < 0.5]
    shown = torch.full_like(sample.weight, math.nan)
    shown[sample.places[:, 0], sample.places[:, 1]] = sample.gains
    row = {name: reverse(getattr(sample, name)[place]) for name in IMAGES}
    row |= {"noise": sample.noise[place], "weight": sample.weight[place], "gains": shown[place]}
    return {name: values.flip(mirrored) for name, values in row.items()}


def _filled_place(weight: Tensor, size: tuple[int, int], random: np.random.Generator) -> tuple[slice, slice]:
    """Where to cut a crop out, preferably where the object is."""
    for _ in range(TRIALS):
        first = [int(random.integers(0, max(1, n - wanted + 1))) for n, wanted in zip(weight.shape, size, strict=True)]
        place = (slice(first[0], first[0] + size[0]), slice(first[1], first[1] + size[1]))
        if float(weight[place].mean()) > LEAST_FILLED:
            break
    return place
