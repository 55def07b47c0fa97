"""How far the automatic regularisation is from the best one, and what shrinkage by neighbours is worth, on digital knees.

    python benchmarks/regularisation.py [--seeds 1 2 3] [--coils 16] [--accelerations 2 3 4.5 6 7] [--snrs 10 30 100] [--soft]

Every scan is reconstructed with multiples of the automatic weight. `excess` is the error of the automatic weight over that of
the best multiple, in percent. With --soft the same search is done with soft thresholds (L1), the convex prior, as well.
"""

from __future__ import annotations

import argparse
import json
import sys

from knee_slices import KneeSlice, knee_slice

from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings, Shrinkage

MULTIPLES = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3))
    parser.add_argument("--coils", type=int, nargs="+", default=(16,))
    parser.add_argument("--accelerations", type=float, nargs="+", default=(2.0, 3.0, 4.5, 6.0, 7.0))
    parser.add_argument("--snrs", type=float, nargs="+", default=(10.0, 30.0, 100.0), help="of muscle, fully sampled")
    parser.add_argument("--soft", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        for n_coils in arguments.coils:
            knee = knee_slice(seed, n_coils)
            for acceleration in arguments.accelerations:
                for snr in arguments.snrs:
                    scan = knee.at(acceleration, snr, seed)
                    row = {"knee": seed, "coils": n_coils, "R": acceleration, "muscle_snr": snr}
                    rows.append(row | summary(knee, scan, "neighbours"))
                    if arguments.soft:
                        rows[-1]["soft"] = summary(knee, scan, "soft")
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1))


def summary(knee: KneeSlice, scan: RawScan, shrinkage: Shrinkage) -> dict[str, object]:
    """Error of the automatic weight, and the best error with its multiple of that weight."""
    errors = {}
    for multiple in MULTIPLES:
        settings = Settings(regularisation=multiple, shrinkage=shrinkage, snr_map="none")
        errors[multiple] = knee.error(reconstruct(scan, settings).magnitude[0].numpy())
    best = min(errors, key=lambda multiple: errors[multiple])
    return {
        "automatic": round(errors[1.0], 4),
        "best": round(errors[best], 4),
        "best_multiple": best,
        "excess": round(100 * (errors[1.0] / errors[best] - 1), 1),
    }


if __name__ == "__main__":
    main()
