"""Calibrate the uncertainty map on some digital knees, and measure on others how often its 90 % interval holds the truth.

    python benchmarks/trust_coverage.py [--calibrate 7 8] [--check 4 5] [--methods dl cs]

Prints JSON: for each method the factor q and the SHA-256 of its weights, to be written into
`recon/learned/maps/uncertainty.py` (again whenever the weights change), and for each check case the part of the leg's pixels
within |image| ± q e, with the factor found here and with the one that is installed. Neither set of knees was trained on. Errors
are those of the magnitude after one real factor for the whole leg.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass

import numpy as np
import torch
from knee_slices import KneeSlice, knee_slice
from torch import Tensor

from knerve.bench.source import inside_of
from knerve.recon.learned.maps.linear import linear_of
from knerve.recon.learned.maps.prepared import prepared_slices
from knerve.recon.learned.maps.prior_share import prior_share
from knerve.recon.learned.maps.refit import refit_of
from knerve.recon.learned.maps.uncertainty import FACTORS, calibration_factor, error_spread, installed_weights
from knerve.recon.quality import fitted
from knerve.recon.settings import Settings

CASES = (
    (3.0, 8.0),
    (3.0, 16.0),
    (6.0, 8.0),
    (6.0, 16.0),
)  # acceleration, signal of muscle over noise where every line is read
SNR_UNITS = 2**0.5


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibrate", type=int, nargs="+", default=(7, 8))
    parser.add_argument("--check", type=int, nargs="+", default=(4, 5))
    parser.add_argument("--methods", nargs="+", default=("dl", "cs"))
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[_Case]]] = {name: {"calibrate": [], "check": []} for name in arguments.methods}
    for part, seeds in (("calibrate", arguments.calibrate), ("check", arguments.check)):
        for seed in seeds:
            knee = knee_slice(seed)
            for acceleration, snr in CASES:
                for method in arguments.methods:
                    found[method][part].append(_measured(knee, seed, acceleration, snr, method))
                    print(part, seed, acceleration, snr, method, file=sys.stderr, flush=True)
    print(json.dumps({method: _summary(method, cases) for method, cases in found.items()}, indent=1))


@dataclass(frozen=True)
class _Case:
    """Errors and spreads (pixel) in the leg of one scan."""

    name: str
    error: Tensor
    spread: Tensor

    def coverage(self, factor: float) -> float:
        """Part of the pixels whose error lies within factor times the spread."""
        return round(float((self.error.abs() <= factor * self.spread).float().mean()), 3)


def _measured(knee: KneeSlice, seed: int, acceleration: float, snr: float, method: str) -> _Case:
    scan = knee.at(acceleration, snr, 100 * seed)
    settings = Settings(method="dl" if method == "dl" else "cs", snr_map="none")
    inside = inside_of(knee.truth)
    (slice_,) = prepared_slices(scan, settings)
    refit, pair = refit_of(slice_, settings)
    image = slice_.finished(pair.image).abs().numpy()
    if refit.method != method:
        sys.exit(
            f"knee {seed}, R = {acceleration:g}, SNR {snr:g}: the network was not used; this case calibrates nothing."
        )
    prior = prior_share(pair.image[0, :, 0], linear_of(slice_, pair.reference if method == "dl" else pair.image)).part
    spread = SNR_UNITS * error_spread(slice_, refit, pair.image, prior, settings.seed) * slice_.strength
    shown = slice_.on_image_grid(spread)
    scaled = fitted(image, knee.truth, inside)
    factor = float(np.vdot(scaled, image) / np.vdot(scaled, scaled))
    error = torch.from_numpy((factor * (scaled - knee.truth))[inside])
    return _Case(f"knee {seed}, R {acceleration:g}, SNR {snr:g}", error, shown[torch.from_numpy(inside)])


def _summary(method: str, cases: dict[str, list[_Case]]) -> dict[str, object]:
    errors, spreads = (torch.cat([getattr(case, name) for case in cases["calibrate"]]) for name in ("error", "spread"))
    factor = calibration_factor(errors, spreads)
    check = cases["check"]
    return {
        "factor": round(factor, 3),
        "weights": installed_weights() if method == "dl" else None,
        "factor_of_each_calibration_case": {
            case.name: round(calibration_factor(case.error, case.spread), 2) for case in cases["calibrate"]
        },
        "coverage": {case.name: case.coverage(factor) for case in check},
        "coverage_mean": round(float(np.mean([case.coverage(factor) for case in check])), 3),
        "coverage_with_installed_factor": round(float(np.mean([case.coverage(FACTORS[method]) for case in check])), 3),
        "half_width_median_snr_units": round(float(np.median([factor * float(c.spread.median()) for c in check])), 3),
    }


if __name__ == "__main__":
    main()
