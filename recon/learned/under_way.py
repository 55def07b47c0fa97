"""Samples as the later networks are trained on them: after those before have been applied, each asked once, along the phase."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from knerve.recon.learned.sample import SampleSource, TrainingSample
from knerve.recon.learned.unrolled import Unrolled, unfolded


@dataclass(frozen=True)
class SamplesUnderWay:
    """Samples whose start is what the first networks made of it; kept in a folder once made.

    Attributes:
        samples: as compressed sensing leaves them.
        folder: of what the networks made.
        model: whose networks.
        n_networks: how many have been applied.
        reduced: in bfloat16.
    """

    samples: SampleSource
    folder: Path
    model: Unrolled
    n_networks: int
    reduced: bool

    def __len__(self) -> int:
        return len(self.samples)

    def one(self, number: int) -> TrainingSample:
        """Sample `number`, made now or read."""
        path = self.folder / f"sample-{number:06d}.pt"
        sample = self.samples.one(number)
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".part")
            torch.save(self._made(sample), partial)
            partial.replace(path)
        made = torch.load(path, weights_only=True, mmap=True)
        return replace(sample, **{name: torch.view_as_complex(values) for name, values in made.items()})

    def _made(self, sample: TrainingSample) -> dict[str, Tensor]:
        """Real and imaginary parts of what changes, of the sample and, less those, of its twin."""
        here = sample.to(next(self.model.parameters()).device)
        image, folded, d = here.with_twin()
        right = folded + here.normal(image)
        for step in range(self.n_networks):
            with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16, enabled=self.reduced):
                image = self.model.refined(step, image, d, folded, here.noise)
            folded = right - here.normal(image)
            d = unfolded(here.normal, folded)
        images: dict[str, Tensor] = {}
        for name, (one, twin) in {"start": image, "folded": folded, "unfolded": d}.items():
            images |= {name: one, f"twin_{name}": twin - one}
        return {name: torch.view_as_real(each).contiguous().cpu() for name, each in images.items()}
