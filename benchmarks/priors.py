"""Priors of compressed sensing beside each other on digital knees: error and time, each at its best weight.

    python benchmarks/priors.py [--seeds 1 3] [--accelerations 3 6] [--snr 13]

NRMSE in the leg after one scale factor, at the best of a few multiples of the automatic weight; processor seconds of the solver.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace

from knee_slices import KneeSlice, knee_slice

from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings

MULTIPLES = (0.5, 0.7, 1.0, 1.4, 2.0)
PRIORS = {
    "neighbours and total variation": Settings(),
    "the same, db3": Settings(wavelet="db3"),
    "the same, db2": Settings(wavelet="db2"),
    "the same, haar": Settings(wavelet="haar"),
    "neighbours": Settings(total_variation=0.0),
    "soft thresholds": Settings(shrinkage="soft", total_variation=0.0),
    "soft thresholds, haar": Settings(shrinkage="soft", wavelet="haar", total_variation=0.0),
    "soft thresholds and total variation": Settings(shrinkage="soft"),
    "total variation": Settings(wavelets=0.0, total_variation=2.5),
}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 3))
    parser.add_argument("--accelerations", type=float, nargs="+", default=(3.0, 6.0))
    parser.add_argument("--snr", type=float, default=13.0, help="of muscle, fully sampled")
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        knee = knee_slice(seed)
        for acceleration in arguments.accelerations:
            scan = knee.at(acceleration, arguments.snr, seed)
            for name, settings in PRIORS.items():
                rows.append({"knee": seed, "R": acceleration, "prior": name} | best(knee, scan, settings))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1))


def best(knee: KneeSlice, scan: RawScan, settings: Settings) -> dict[str, float]:
    """The lowest error, at which multiple of the automatic weight, and the processor seconds of its reconstruction."""
    found = {}
    for multiple in MULTIPLES:
        started = time.process_time()
        images = reconstruct(scan, replace(settings, regularisation=multiple, snr_map="none"))
        found[multiple] = (knee.error(images.magnitude[0].numpy()), time.process_time() - started)
    multiple = min(found, key=lambda m: found[m][0])
    error, seconds = found[multiple]
    return {"nrmse": round(error, 4), "multiple": multiple, "processor_s": round(seconds, 2)}


if __name__ == "__main__":
    main()
