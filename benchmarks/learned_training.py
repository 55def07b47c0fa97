"""Short trainings of the first network beside each other: optimisers, their rates, and the precision of the convolutions.

    python benchmarks/learned_training.py SAMPLES [--steps 500] [--variants chosen fast float32 adam]

SAMPLES is the folder `samples` that `knerve train` made. Every variant sees the same crops; its rate falls to zero at the end.
Prints, on the validation samples, the error of magnitudes over that of compressed sensing, and the gain of weak structures at the
worst 5 % beside that of compressed sensing; and processor milliseconds a step.

| variant | what is different |
|---|---|
| chosen | nothing: the recipe `cpu` |
| fast | 2.5 times the rate |
| float32 | no bfloat16 |
| adam | Adam at a rate of 8e-4 |
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from knerve.datasets.training.objects import Source
from knerve.datasets.training.samples import Samples
from knerve.recon.learned.losses import gains
from knerve.recon.learned.recipe import CPU
from knerve.recon.learned.training import Trainer
from knerve.train_command import SCANS_PER_KNEE_SLICE

VARIANTS: dict[str, dict[str, Any]] = {  # what differs in the recipe
    "chosen": {},
    "fast": {"first_rate": 2.5 * CPU.first_rate},
    "float32": {"reduced": False},
    "adam": {"first_rate": 8e-4},
}


def main() -> None:
    """Print one JSON line a variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    source = Source(arguments.samples, math.ceil(CPU.n_scans / SCANS_PER_KNEE_SLICE))
    samples = Samples(source, arguments.samples, CPU.n_scans, CPU.seed)
    for name in arguments.variants:
        print(json.dumps({"variant": name} | trained(name, samples, arguments.steps)), flush=True)


def trained(name: str, samples: Samples, n_steps: int) -> dict[str, float]:
    """What a short first stage of this variant comes to."""
    short = replace(CPU, first_steps=n_steps, second_steps=0, falling_steps=n_steps, averaging=0.98)
    recipe = replace(short, **VARIANTS[name])
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, samples, Path(folder))
        if name == "adam":
            trainer.optimiser = torch.optim.Adam(trainer.model.parameters(), betas=(0.9, 0.995))
        before = time.process_time()
        for _ in range(n_steps):
            trainer.advance()
        step_ms = 1e3 * (time.process_time() - before) / n_steps
        return {"error": round(trainer.validation_error(), 4)} | weak_structures(trainer) | {"step_ms": round(step_ms)}


def weak_structures(trainer: Trainer) -> dict[str, float]:
    """What the averaged first network and compressed sensing show of those of the validation samples."""
    shown, before = [], []
    for number in range(trainer.n_validation):
        sample = trainer.samples.one(number)
        start, folded, unfolded = sample.with_twin()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=trainer.recipe.reduced):
            image = trainer.averaged.refined(0, start, unfolded, folded, sample.noise)
        shown.append(gains(image[1] - image[0], sample.insert, sample.places))
        before.append(sample.gains)
    found = {"gain_p5": torch.cat(shown), "gain_p5_cs": torch.cat(before)}
    return {name: round(float(values.quantile(0.05)), 3) for name, values in found.items()}


if __name__ == "__main__":
    main()
