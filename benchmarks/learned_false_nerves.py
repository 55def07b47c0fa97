"""Does a method show nerves that are not there? A nerve's matched filter over digital knees without inserted nerves.

    python benchmarks/learned_false_nerves.py [--knees 7 8 9] [--accelerations 3 4.5 6] [--contrasts T2 PD STIR] [--draws 4]

The image less the truth (after one real factor) is filtered with what the scan shows of a nerve of 0.9 mm: the amplitude of the
nerve that fits best, brighter or darker, at every pixel of the leg farther than 8 pixels from its edge. An alarm is an amplitude
above a threshold. That is set for each knee, contrast and acceleration so that 5 % of the pixels of SENSE are alarms, over all
draws, and the other methods are held to the same absolute contrast; `at the threshold of cs` holds dl to where 5 % of the pixels
of compressed sensing are alarms. An edge that is blurred counts as well as a structure that was made, and so does a real nerve
that is lost. Compressed sensing takes the best of 0.7, 1 and 1.4 of its weight, found with the truth. A draw is one of noise and
lines; a leg has about 100 000 pixels, so few draws are enough.

Prints for each contrast and acceleration the mean over the knees, and of any knee and draw the highest rate; thresholds in
standard deviations of the noise of an unfolded pixel.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from inserted_nerves import nerve_pattern
from knee_contrasts import CONTRASTS
from knee_slices import SIMULATED_SNR, KneeSlice, knee_slice
from method_images import best_multiple, images_of
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from knerve.bench.source import inside_of
from knerve.recon.quality import fitted
from knerve.recon.recognition import alarm_threshold, hallucination_rate, matched_filter

Float = NDArray[np.floating]
Mask = NDArray[np.bool_]

METHODS = ("sense", "cs", "dl")
DIAMETER_MM = 0.9
FROM_THE_EDGE = 8  # pixels


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, nargs="+", default=(7, 8, 9))
    parser.add_argument("--accelerations", type=float, nargs="+", default=(3.0, 4.5, 6.0))
    parser.add_argument("--contrasts", nargs="+", default=CONTRASTS, choices=CONTRASTS)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--snr", type=float, default=SIMULATED_SNR, help="of muscle, fully sampled")
    arguments = parser.parse_args()
    found: dict[tuple[str, float], list[Alarms]] = {}
    for seed, contrast in product(arguments.knees, arguments.contrasts):
        knee = knee_slice(seed, contrast=contrast)
        for acceleration in arguments.accelerations:
            seeds = range(100 * seed, 100 * seed + arguments.draws)
            alarms = alarms_of(knee, acceleration, arguments.snr, seeds)
            found.setdefault((contrast, acceleration), []).append(alarms)
            print(seed, contrast, acceleration, alarms, file=sys.stderr, flush=True)
    print(json.dumps([summary(*key, of_knees) for key, of_knees in found.items()], indent=1))


@dataclass(frozen=True)
class Alarms:
    """Of one knee, contrast and acceleration.

    Attributes:
        threshold: of SENSE, in noise standard deviations.
        rates: (draw) by method, at that threshold.
        cs_threshold: of compressed sensing.
        dl_at_cs: (draw) of dl at that threshold.
        without_network: scans where dl is compressed sensing.
    """

    threshold: float
    rates: dict[str, list[float]]
    cs_threshold: float
    dl_at_cs: list[float]
    without_network: int


def alarms_of(knee: KneeSlice, acceleration: float, snr: float, seeds: Sequence[int]) -> Alarms:
    """Reconstruct all draws of one slice at one acceleration, and count."""
    pixel_x, pixel_y, _ = (
        fov / n for fov, n in zip(knee.scan.grid.recon_fov_mm, knee.scan.grid.recon_matrix, strict=True)
    )
    pattern = nerve_pattern(DIAMETER_MM, (knee.truth.shape[0], knee.truth.shape[1]), (pixel_x, pixel_y))
    leg = inside_of(knee.truth)
    inner = binary_erosion(leg, iterations=FROM_THE_EDGE)
    multiple = best_multiple(knee.at(acceleration, snr, seeds[0]), knee.truth, leg)
    amplitudes: dict[str, list[Float]] = {method: [] for method in METHODS}
    without_network = 0
    for seed in seeds:
        images, notes = images_of(knee.at(acceleration, snr, seed), METHODS, multiple)
        without_network += bool(notes)
        for method, image in images.items():
            error = fitted(image, knee.truth, leg) - knee.truth
            amplitudes[method].append(matched_filter(error, pattern))
    everywhere = np.stack([inner] * len(seeds))
    of_sense, of_cs = (alarm_threshold(np.stack(amplitudes[method]), everywhere) for method in ("sense", "cs"))
    noise = SIMULATED_SNR / snr * math.sqrt(acceleration / 2)
    return Alarms(
        threshold=of_sense / noise,
        rates={method: _rates(maps, inner, of_sense) for method, maps in amplitudes.items()},
        cs_threshold=of_cs / noise,
        dl_at_cs=_rates(amplitudes["dl"], inner, of_cs),
        without_network=without_network,
    )


def _rates(maps: list[Float], inside: Mask, threshold: float) -> list[float]:
    return [hallucination_rate(amplitude, inside, threshold) for amplitude in maps]


def summary(contrast: str, acceleration: float, knees: list[Alarms]) -> dict[str, object]:
    """Over all knees."""
    result: dict[str, object] = {
        "contrast": contrast,
        "R": acceleration,
        "threshold_noise_sd": round(float(np.mean([knee.threshold for knee in knees])), 3),
        "scans_without_network": sum(knee.without_network for knee in knees),
    }
    for method in METHODS:
        rates = np.array([knee.rates[method] for knee in knees])
        result[f"rate {method}"] = round(float(rates.mean()), 5)
        result[f"rate {method}, highest"] = round(float(rates.max()), 5)
    strict = np.array([knee.dl_at_cs for knee in knees])
    result["threshold of cs, noise_sd"] = round(float(np.mean([knee.cs_threshold for knee in knees])), 3)
    result["rate dl at the threshold of cs"] = round(float(strict.mean()), 5)
    result["rate dl at the threshold of cs, highest"] = round(float(strict.max()), 5)
    return result


if __name__ == "__main__":
    main()
