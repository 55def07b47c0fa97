"""What the choice of lines costs: compressed sensing of digital knees from patterns of lines that are equally many.

    python benchmarks/line_patterns.py [--knees 4 5 6] [--contrasts T2] [--accelerations 3 4.5 6] [--draws 4]
                                       [--patterns spread:0.5 spread:1 free:2 regular]

Patterns are those of `knee_slices.lines`. NRMSE in the leg with the automatic weight: mean and worst draw. The blur that the
order of echoes makes is another matter: `knerve protocol show`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import product
from statistics import mean

import torch
from knee_contrasts import CONTRASTS, T2
from knee_slices import SIMULATED_SNR, KneeSlice
from learned_knees import nerve_slice

from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings

CS = Settings(method="cs", snr_map="none")
PATTERNS = ("spread:0.25", "spread:0.5", "spread:1", "spread:2", "free:2", "regular")


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, nargs="+", default=(4, 5, 6))
    parser.add_argument("--contrasts", nargs="+", choices=CONTRASTS, default=(T2,))
    parser.add_argument("--accelerations", type=float, nargs="+", default=(3.0, 4.5, 6.0))
    parser.add_argument("--draws", type=int, default=4, help="of lines and noise")
    parser.add_argument("--patterns", nargs="+", default=PATTERNS)
    arguments = parser.parse_args()
    print(json.dumps(list(_rows(arguments)), indent=1))


def _rows(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    for seed, contrast in product(arguments.knees, arguments.contrasts):
        knee = nerve_slice(seed, contrast).knee
        for acceleration, pattern in product(arguments.accelerations, arguments.patterns):
            row = _row(knee, acceleration, pattern, range(100 * seed, 100 * seed + arguments.draws))
            row = {"knee": seed, "contrast": contrast, "acceleration": acceleration, "pattern": pattern} | row
            print(json.dumps(row), file=sys.stderr, flush=True)
            yield row


def _row(knee: KneeSlice, acceleration: float, pattern: str, seeds: range) -> dict[str, object]:
    errors, gaps = [], []
    for seed in seeds:
        scan = knee.at(acceleration, SIMULATED_SNR, seed, pattern)
        gaps.append(int(torch.nonzero(scan.counts[0]).diff(dim=0).max()))
        errors.append(knee.error(reconstruct(scan, CS).magnitude[0].numpy()))
    return {
        "nrmse": round(mean(errors), 4),
        "worst_nrmse": round(max(errors), 4),
        "lines_read": int(scan.counts.sum()),
        "largest_gap": max(gaps),
    }


if __name__ == "__main__":
    main()
