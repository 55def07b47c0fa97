"""Short trainings beside each other: optimisers, their rates, and the precision of the convolutions.

    python benchmarks/learned_training.py SAMPLES [--steps 500] [--variants muon adam muon-float32]

SAMPLES is the folder `samples` that `knerve train` made. Every variant sees the same crops; its rate falls to zero at the end.
Prints the loss over the last tenth, the validation error over that of compressed sensing, and processor milliseconds a step.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from knerve.datasets.training.objects import Source
from knerve.datasets.training.samples import Samples
from knerve.recon.learned.recipe import CPU
from knerve.recon.learned.training import Trainer
from knerve.train_command import SCANS_PER_KNEE_SLICE

VARIANTS = {
    "muon": (0.008, True),
    "muon-fast": (0.02, True),
    "muon-float32": (0.008, False),
    "adam": (8e-4, True),
    "adam-fast": (1.6e-3, True),
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
    rate, reduced = VARIANTS[name]
    recipe = replace(
        CPU,
        first_steps=n_steps,
        second_steps=0,
        first_rate=rate,
        falling_steps=n_steps,
        reduced=reduced,
        averaging=0.98,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, samples, Path(folder))
        if name.startswith("adam"):
            trainer.optimiser = torch.optim.Adam(trainer.model.parameters(), betas=(0.9, 0.995))
        before = time.process_time()
        losses = [float(trainer.advance()[0]) for _ in range(n_steps)]
        step_ms = 1e3 * (time.process_time() - before) / n_steps
        last = losses[-max(1, n_steps // 10) :]
        return {
            "loss": round(sum(last) / len(last), 4),
            "validation": round(trainer.validation_error(), 4),
            "step_ms": round(step_ms),
        }


if __name__ == "__main__":
    main()
