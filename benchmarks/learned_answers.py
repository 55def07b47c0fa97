"""How the trained networks are asked: once or twice along the phase, and whether across it.

    python benchmarks/learned_answers.py [--knees 4 5] [--contrasts T2 PD STIR] [--accelerations 3 6]

| way | the first network's change | the second one's |
|---|---|---|
| once | its answer along the phase | the same |
| first twice | mean with its answer to the image turned by half | once |
| as it is | that, and across the phase what the data leave unknown | once |
| all across | that, and its whole answer across the phase | once |
| both twice | as it is | twice too |

Prints NRMSE over that of compressed sensing at its automatic weight, and the response to weak spots at the worst 5 % of places,
on slices that nothing was trained on. What held-out lines of real scans say: `learned_real_data.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from itertools import product
from unittest.mock import patch

from knee_contrasts import CONTRASTS
from learned import CS, DL, Case, picture, response
from learned_knees import nerve_slice
from torch import Tensor

from knerve.recon.learned.problem import Normal
from knerve.recon.learned.unrolled import BY_HALF, Seen, Unrolled

SNR = 13.0


def once(model: Unrolled, step: int, seen: Seen, _: Normal) -> Tensor:
    """Its answer along the phase."""
    return seen.placed(model.answer(step, seen.channels))


def twice(model: Unrolled, step: int, seen: Seen, _: Normal) -> Tensor:
    """The mean of two."""
    turned = model.answer(step, seen.channels.flip(BY_HALF)).flip(BY_HALF)
    return seen.placed((model.answer(step, seen.channels) + turned) / 2)


def all_across(model: Unrolled, step: int, seen: Seen, normal: Normal) -> Tensor:
    """That, and the whole answer across the phase."""
    return twice(model, step, seen, normal) + 1j * seen.placed(model.answer(step, seen.across))


Change = Callable[[Unrolled, int, Seen, Normal], Tensor]
WAYS: dict[str, tuple[Change, Change]] = {
    "once": (once, once),
    "first twice": (twice, once),
    "as it is": (Unrolled.change, Unrolled.change),
    "all across": (all_across, once),
    "both twice": (Unrolled.change, twice),
}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, nargs="+", default=(4, 5))
    parser.add_argument("--contrasts", nargs="+", choices=CONTRASTS, default=tuple(CONTRASTS))
    parser.add_argument("--accelerations", type=float, nargs="+", default=(3.0, 6.0))
    arguments = parser.parse_args()
    rows = []
    for seed, contrast in product(arguments.knees, arguments.contrasts):
        slice_ = nerve_slice(seed, contrast)
        for acceleration in arguments.accelerations:
            case = Case(slice_, acceleration, SNR, 100 * seed)
            rows.append({"knee": seed, "contrast": contrast, "R": acceleration} | measured(case))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1))


def measured(case: Case) -> dict[str, object]:
    """Of every way, on one scan."""
    before = case.slice_.knee.error(picture(case.scan, CS))
    result: dict[str, object] = {"nrmse cs": round(before, 4)}
    for name, steps in WAYS.items():

        def change(model: Unrolled, step: int, seen: Seen, normal: Normal, steps: tuple[Change, ...] = steps) -> Tensor:
            return steps[step](model, step, seen, normal)

        with patch.object(Unrolled, "change", change):
            image = picture(case.scan, DL)
            found = response(case, image, DL)
        result[name] = {"nrmse dl/cs": round(case.slice_.knee.error(image) / before, 3)} | found
    return result


if __name__ == "__main__":
    main()
