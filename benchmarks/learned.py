"""The learned reconstruction beside compressed sensing on digital knees that it was not trained on.

    python benchmarks/learned.py [--knees 4 5 6] [--contrasts T2 PD STIR] [--accelerations 3 4.5 6] [--draws 1] [--lines spread:1]
                                 [--sheet OUT.png]

Slices are coronal, through all four genicular nerves. Compressed sensing is taken at the best of a few multiples of its weight,
found with the truth of the first draw; dl is not tuned. BART at its best weight on such slices: `knees_vs_bart.py`. NRMSE, SSIM
and HFEN in the leg after one real factor; `nerves`: the part of each nerve's contrast that is recovered; `response`: gain of weak
spots (2 pixels wide, 4 noise standard deviations) in a lattice, added to the raw data, in the mean and at the worst 5 %, of first
draws.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from knee_contrasts import CONTRASTS, T2
from knee_slices import PROTOCOL, SIMULATED_SNR
from learned_knees import NerveSlice, nerve_slice
from learned_sheet import save_sheet
from numpy.typing import NDArray

from knerve.recon.local_quality import local_gains
from knerve.recon.pipeline import reconstruct
from knerve.recon.quality import fitted, hfen, nrmse, ssim
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings

Float = NDArray[np.float32]
CS = Settings(method="cs", snr_map="none")
DL = Settings(method="dl", snr_map="none")
MULTIPLES = (0.7, 1.0, 1.4)


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, nargs="+", default=(4, 5, 6))
    parser.add_argument("--contrasts", nargs="+", choices=CONTRASTS, default=(T2,))
    parser.add_argument("--accelerations", type=float, nargs="+", default=(3.0, 4.5, 6.0))
    parser.add_argument("--snr", type=float, default=SIMULATED_SNR, help="of muscle, fully sampled")
    parser.add_argument("--draws", type=int, default=1, help="of noise and lines")
    parser.add_argument("--lines", default=PROTOCOL, help="their pattern, as of `knee_slices.lines`")
    parser.add_argument("--sheet", type=Path, help="contact sheet of the first knee at the highest acceleration")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed, contrast in product(arguments.knees, arguments.contrasts):
        slice_ = nerve_slice(seed, contrast)
        for acceleration in arguments.accelerations:
            best = best_multiple(Case(slice_, acceleration, arguments.snr, 100 * seed, arguments.lines))
            for draw in range(arguments.draws):
                case = Case(slice_, acceleration, arguments.snr, 100 * seed + draw, arguments.lines)
                row = {"knee": seed, "contrast": contrast, "R": acceleration, "draw": draw, "cs_multiple": best}
                row |= measured(case, best, with_response=draw == 0)
                rows.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
        if arguments.sheet is not None and (seed, contrast) == (arguments.knees[0], arguments.contrasts[0]):
            highest = max(arguments.accelerations)
            save_sheet(slice_, slice_.knee.at(highest, arguments.snr, 100 * seed), arguments.sheet)
    groups = product(arguments.contrasts, arguments.accelerations)
    print(json.dumps({"cases": rows, "summary": [summary(rows, *group) for group in groups]}, indent=1))


def summary(rows: list[dict[str, Any]], contrast: str, acceleration: float) -> dict[str, object]:
    """Over all cases of one contrast and acceleration: means, and the one that is worst for dl."""
    cases = [row for row in rows if (row["contrast"], row["R"]) == (contrast, acceleration)]
    found: dict[str, object] = {"contrast": contrast, "R": acceleration, "cases": len(cases)}
    for measure in ("nrmse", "ssim", "hfen", "response_mean", "response_p5"):
        for name in ("cs", "dl"):
            found[f"{measure} {name}"] = round(mean(row[name][measure] for row in cases if measure in row[name]), 4)
    found["nrmse dl/cs, mean"] = round(mean(row["dl"]["nrmse"] / row["cs"]["nrmse"] for row in cases), 4)
    found["response_p5 dl - cs, worst"] = min(
        round(row["dl"]["response_p5"] - row["cs"]["response_p5"], 3) for row in cases if "response_p5" in row["dl"]
    )
    found["replaced by cs"] = sum("replaced" in note or "not used" in note for row in cases for note in row["notes"])
    found["nrmse dl/cs, worst"] = round(max(row["dl"]["nrmse"] / row["cs"]["nrmse"] for row in cases), 4)
    for name in ("cs", "dl"):
        nerves = [part for row in cases for part in row[name]["nerves"].values()]
        found |= {f"nerves {name}, median": round(median(nerves), 3), f"nerves {name}, worst": min(nerves)}
    return found


@dataclass(frozen=True)
class Case:
    """One scan of a slice: acceleration, signal of muscle over noise where every line is read, seed, kind of lines."""

    slice_: NerveSlice
    acceleration: float
    snr: float
    seed: int
    lines: str = PROTOCOL

    @property
    def scan(self) -> RawScan:
        """The raw data."""
        return self.slice_.knee.at(self.acceleration, self.snr, self.seed, self.lines)


def best_multiple(case: Case) -> float:
    """Of the weight of compressed sensing, with the least error."""
    errors = {each: case.slice_.knee.error(picture(case.scan, replace(CS, regularisation=each))) for each in MULTIPLES}
    return min(errors, key=lambda multiple: errors[multiple])


def measured(case: Case, cs_multiple: float, *, with_response: bool) -> dict[str, object]:
    """All measures of all methods on one scan."""
    scan = case.scan
    series = reconstruct(scan, DL)
    settings = {"cs": replace(CS, regularisation=cs_multiple), "dl": DL}
    images = {"cs": picture(scan, settings["cs"]), "dl": series.magnitude[0].numpy()}
    result: dict[str, object] = {"notes": [note for note in series.notes if "learned" in note or "network" in note]}
    for name, image in images.items():
        result[name] = scores(case.slice_, image) | (response(case, image, settings[name]) if with_response else {})
    return result


def picture(scan: RawScan, settings: Settings) -> Float:
    """Magnitude (y, x)."""
    return reconstruct(scan, settings).magnitude[0].numpy()


def scores(slice_: NerveSlice, image: Float) -> dict[str, object]:
    """Measures of one image."""
    truth, inside = slice_.knee.truth, slice_.inside
    image = fitted(image, truth, inside)
    nerves = slice_.recovered(image)
    return {
        "nrmse": round(nrmse(image, truth, inside), 4),
        "ssim": round(ssim(image, truth, inside), 4),
        "hfen": round(hfen(image, truth, inside), 4),
        "nerves": {name: round(part, 2) for name, part in nerves.items()},
    }


def response(case: Case, before: Float, settings: Settings) -> dict[str, float]:
    """Gain of a lattice of weak spots, through the whole reconstruction."""
    with_spots, spots, places = case.slice_.with_spots(case.acceleration, case.snr)
    after = picture(with_spots.at(case.acceleration, case.snr, case.seed, case.lines), settings)
    truth, inside = case.slice_.knee.truth, case.slice_.inside
    scale = np.vdot(before[inside], truth[inside]) / np.vdot(before[inside], before[inside])
    gains = local_gains(scale * before, scale * after, spots, places)
    return {
        "response_mean": round(float(gains.mean()), 3),
        "response_p5": round(float(np.percentile(gains, 5)), 3),
    }


if __name__ == "__main__":
    main()
