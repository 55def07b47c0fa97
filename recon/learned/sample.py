"""One training sample: a strip of readout columns of a simulated scan, with its twin that holds a few weak structures more.

Every column of hybrid space is a problem of its own, so a strip is exactly what the reconstruction meets, at the full length of
the phase encodes. The twin has the same noise; what the reconstruction makes of the difference is its response.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from knerve.recon.learned.problem import PlainNormal, Problem

HALF = ("folded", "unfolded", "twin_start", "twin_folded", "twin_unfolded", "insert")


class SampleSource(Protocol):
    """Samples by number."""

    def __len__(self) -> int:
        """How many there are."""

    def one(self, number: int) -> TrainingSample:
        """Sample `number`, the same every time."""


@dataclass(frozen=True)
class TrainingSample:
    """Images are (x, y), in units of the noise.

    Attributes:
        maps: float16, (x, coil, y, 2): real and imaginary parts, which are known to a percent only.
        power: (y), counts over the largest.
        right: Aᴴ y / n.
        start: compressed sensing.
        folded: Aᴴ y - Aᴴ A start, over n.
        unfolded: (Aᴴ A + 0.05)⁻¹ of that; both are kept because the first stage of training needs nothing else of A.
        twin_start: start of the twin, minus `start`.
        twin_folded: `folded` of the twin, minus that.
        twin_unfolded: `unfolded` of the twin, minus that.
        noise: float32, standard deviation of the linear solution.
        truth: of `right`.
        insert: what the twin's truth has more.
        weight: float32: norm of the sensitivities, with which the image is multiplied in the end.
        places: int64, (place, 2): where the inserted structures lie.
        gains: float32, (place): how much of them compressed sensing shows.
    """

    maps: Tensor
    power: Tensor
    right: Tensor
    start: Tensor
    folded: Tensor
    unfolded: Tensor
    twin_start: Tensor
    twin_folded: Tensor
    twin_unfolded: Tensor
    noise: Tensor
    truth: Tensor
    insert: Tensor
    weight: Tensor
    places: Tensor
    gains: Tensor

    @property
    def normal(self) -> PlainNormal:
        """Aᴴ A / n."""
        return PlainNormal(torch.view_as_complex(self.maps.float()), self.power)

    @property
    def problem(self) -> Problem:
        """The problem, as a batch of one."""
        return Problem(self.right[None], self.start[None], self.noise)

    def pair(self) -> Problem:
        """The problem and its twin, as a batch of two."""
        right = torch.stack([self.right, self.right + self.normal(self.insert[None])[0]])
        start = torch.stack([self.start, self.start + self.twin_start])
        return replace(self.problem, right=right, start=start)

    def with_twin(self) -> tuple[Tensor, Tensor, Tensor]:
        """Start, folded and unfolded images (2, x, y), the twin's second."""
        names = ("start", "folded", "unfolded")
        pairs = ((getattr(self, name), getattr(self, f"twin_{name}")) for name in names)
        start, folded, unfolded = (torch.stack([one, one + more]) for one, more in pairs)
        return start, folded, unfolded

    def to(self, device: torch.device) -> TrainingSample:
        """The same on another device."""
        return TrainingSample(*(getattr(self, field.name).to(device) for field in fields(self)))

    def save(self, path: Path) -> None:
        """Write it; what is small at half precision."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {name: torch.view_as_real(values[name]).half() for name in HALF}
        partial = path.with_suffix(f".{os.getpid()}.part")  # two processes may make the same sample
        torch.save(values, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> TrainingSample:
        """Read what `save` wrote."""
        values = torch.load(path, weights_only=True, mmap=True)  # what is not used is not read
        values |= {name: torch.view_as_complex(values[name].float()) for name in HALF}
        return cls(**values)
