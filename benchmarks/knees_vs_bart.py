"""Digital knees, undersampled: knerve with its defaults against BART at its best weight and number of iterations.

    python benchmarks/knees_vs_bart.py [--knees 1 2 3] [--accelerations 3 6] [--snrs 13]

Both get the same whitened k-space and find their own sensitivities in it. Wavelets and total variation of BART are searched
with the truth at hand (`knerve.bench.search`); knerve is not. NRMSE in the leg after one real scale factor.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import numpy as np
from bart_cli import Array, bart, bart_path
from knee_slices import KneeSlice, knee_slice

from knerve.bench.methods import Magnitude
from knerve.bench.search import search
from knerve.recon.noise import estimate_whitening, prewhiten
from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings

N_CALIBRATION = 24
FIRST_WEIGHTS = {"W": 0.008, "T": 0.004}
NAMES = {"W": "BART wavelets", "T": "BART total variation"}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, nargs="+", default=(1, 2, 3))
    parser.add_argument("--accelerations", type=float, nargs="+", default=(3.0, 6.0))
    parser.add_argument("--snrs", type=float, nargs="+", default=(13.0,), help="of muscle, fully sampled")
    parser.add_argument("--priors", nargs="+", choices=tuple(NAMES), default=("W",))
    parser.add_argument("--quick", action="store_true", help="search coarsely: weights in steps of two, few iterations")
    arguments = parser.parse_args()
    if bart_path() is None:
        sys.exit("bart is not installed; on Debian: apt-get install bart")
    rows = []
    for seed in arguments.knees:
        knee = knee_slice(seed, even=True)
        for acceleration in arguments.accelerations:
            for snr in arguments.snrs:
                scan = knee.at(acceleration, snr, seed)
                row: dict[str, object] = {"knee": seed, "R": acceleration, "muscle_snr": snr}
                image = reconstruct(scan, Settings(snr_map="none")).magnitude[0].numpy()
                row["knerve cs"] = round(knee.error(image), 4)
                rows.append(row | compare(knee, scan, arguments.priors, quick=arguments.quick))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1))


def compare(knee: KneeSlice, scan: RawScan, priors: Sequence[str], *, quick: bool) -> dict[str, object]:
    """BART's lowest errors, and the settings that reach them."""
    data = bart_data(scan)
    n_x = scan.grid.recon_matrix[0]
    columns = slice(len(data) // 2 - n_x // 2, len(data) // 2 - n_x // 2 + n_x)
    maps = bart(["ecalib", "-m", "1", "-r", str(N_CALIBRATION)], data)
    result: dict[str, object] = {}
    for letter in priors:

        def curve(weight: float, iterations: Sequence[int], letter: str = letter) -> Magnitude:
            prior = f"{letter}:3:0:{weight:.6g}"
            images = [bart(["pics", "-S", "-i", str(n), "-R", prior], data, maps) for n in iterations]
            return np.abs(np.stack([image.squeeze().T[:, columns] for image in images]))

        best = search(curve, knee.error, FIRST_WEIGHTS[letter], quick=quick).best
        result[NAMES[letter]] = round(best.nrmse, 4)
        result[f"{NAMES[letter]}, setting"] = [round(best.weight, 5), best.iterations]
    return result


def bart_data(scan: RawScan) -> Array:
    """Whitened k-space with the readout's oversampling, in BART's order (read, phase 1, phase 2, coil).

    A leg is longer than the field of view: without the oversampling both ends of the image would share sensitivities.
    """
    kspace = prewhiten(scan, estimate_whitening(scan)[0]).kspace[0]
    return kspace.numpy().transpose(2, 1, 0)[:, :, None, :]


if __name__ == "__main__":
    main()
