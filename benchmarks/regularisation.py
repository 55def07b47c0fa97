"""How far the automatic regularisation is from the best one, on scans with known truth.

    python benchmarks/regularisation.py [--matrix 276 242] [--coils 16]

Simulated legs over accelerations and signal-to-noise ratios; every scan is reconstructed with multiples of the automatic weight.
`excess` is the error of the automatic weight over that of the best multiple, in percent.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

from knerve.datasets.demo_scan import write_demo_scan
from knerve.datasets.reading import read_raw
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings

ACCELERATIONS = (2.0, 3.0, 4.0, 6.0)
MUSCLE_SNRS = (5.0, 13.0, 40.0, 120.0)
MULTIPLES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", type=int, nargs=2, default=(276, 242))
    parser.add_argument("--coils", type=int, default=16)
    arguments = parser.parse_args()
    rows = []
    for acceleration in ACCELERATIONS:
        for muscle_snr in MUSCLE_SNRS:
            errors = sweep(acceleration, muscle_snr, tuple(arguments.matrix), arguments.coils)
            best = min(errors, key=lambda multiple: errors[multiple])
            rows.append(
                {
                    "R": acceleration,
                    "muscle_snr": muscle_snr,
                    "automatic": round(errors[1.0], 4),
                    "best": round(errors[best], 4),
                    "best_multiple": best,
                    "excess": round(100 * (errors[1.0] / errors[best] - 1), 1),
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1))


def sweep(acceleration: float, muscle_snr: float, matrix: tuple[int, int], n_coils: int) -> dict[float, float]:
    """NRMSE inside the leg for every multiple of the automatic weight."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "raw.h5")
        write_demo_scan(
            path,
            n_slices=1,
            matrix=matrix,
            acceleration=acceleration,
            n_calibration=24,
            n_coils=n_coils,
            muscle_snr=muscle_snr,
        )
        scan = read_raw(path)
        with h5py.File(path) as file:
            truth = file["truth/snr"][0]
    inside = truth > 0.05 * np.percentile(truth, 99)
    errors = {}
    for multiple in MULTIPLES:
        settings = Settings(regularisation=multiple, snr_map="none")
        found = reconstruct(scan, settings).magnitude[0].numpy()
        errors[multiple] = float(np.linalg.norm((found - truth)[inside]) / np.linalg.norm(truth[inside]))
    return errors


if __name__ == "__main__":
    main()
