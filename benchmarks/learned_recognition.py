"""Would a reader find a thin nerve? Model observers on compressed sensing, dl and SENSE of digital knees.

    python benchmarks/learned_recognition.py [--knees 7 8 9] [--accelerations 3 4.5 6] [--draws 16] [--diameters 0.5 0.9 1.2]

Every scan holds nerves (`inserted_nerves.py`) at one half of 24 known, nerve-free places in muscle and fat, at the other half in
the next draw: 16 draws give 8 images of each place with its nerve and 8 without, so that few scans give many pairs. All methods
get the same draws. A draw is one of noise and lines; with `--same-lines` of noise alone: then aliasing is the same in every
draw and counts as known background. Compressed sensing takes the best of 0.7, 1 and 1.4 of its weight, found with the truth;
dl is not tuned.

The contrast is `CONTRAST` times 0.9 mm over the diameter, in standard deviations of the noise of an unfolded pixel (magnitude,
g-factor 1). Observers know the place and its background: from every window the place's mean over draws is taken, and the mean
of all places given back. NPW: the nerve as the scan's band shows it; CHO: 5 Laguerre-Gauss channels, 2.2 diameters wide.

Prints for each acceleration and diameter the largest d' that is possible (of an observer of the raw data who knows everything
but whether there is a nerve: d'² = 2 ‖s‖², s its whitened data, noise E|n|² = 1; no image lets a reader find more), d' (mean over
the knees), the ratio of dl to cs with the 90 % interval of a bootstrap over draws, and for NPW the part of the contrast that is
kept and the noise that it must be seen in (in the contrast's units).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from inserted_nerves import FADED, REACH, Place, nerve_free_places, nerve_pattern, plus, windows, with_nerves
from knee_slices import SIMULATED_SNR
from learned_knees import NerveSlice, nerve_slice
from method_images import best_multiple, images_of
from numpy.typing import NDArray
from torch import Tensor

from knerve.recon.noise import estimate_whitening, prewhiten
from knerve.recon.quality import fitted
from knerve.recon.recognition import cho_detectability, laguerre_gauss_channels, npw_detectability
from knerve.recon.scan import RawScan

Float = NDArray[np.floating]
Observer = Callable[[Float, Float], float]

METHODS = ("cs", "dl", "sense")
CONTRAST = {3.0: 1.2, 4.5: 1.3, 6.0: 1.5}  # of 0.9 mm, by acceleration: d' of compressed sensing lies between 1 and 4
USUAL_MM = 0.9
N_PLACES = 24
FEWEST_DRAWS = 6
CHANNEL_DIAMETERS = 2.2
N_BOOTSTRAP = 400
INTERVAL = (5, 95)  # percentiles


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, nargs="+", default=(7, 8, 9))
    parser.add_argument("--accelerations", type=float, nargs="+", default=(3.0, 4.5, 6.0), choices=sorted(CONTRAST))
    parser.add_argument("--diameters", type=float, nargs="+", default=(USUAL_MM,), help="mm")
    parser.add_argument("--draws", type=int, default=16, help="an even number")
    parser.add_argument("--snr", type=float, default=SIMULATED_SNR, help="of muscle, fully sampled")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS, help="cs and dl at least")
    parser.add_argument("--same-lines", action="store_true", help="noise alone changes from draw to draw")
    arguments = parser.parse_args()
    if not {"cs", "dl"} <= set(arguments.methods):
        sys.exit(f"--methods is {' '.join(arguments.methods)}; the ratio needs cs and dl.")
    if arguments.draws < FEWEST_DRAWS or arguments.draws % 2:
        sys.exit(
            f"--draws is {arguments.draws}; it must be even and at least {FEWEST_DRAWS}, a half for each half of the places."
        )
    cases: dict[tuple[float, float], list[Case]] = {}
    for seed in arguments.knees:
        places = nerve_free_places(slice_ := nerve_slice(seed), seed, N_PLACES)
        for diameter_mm in arguments.diameters:
            nerves = Nerves.put(slice_, places, diameter_mm)
            for acceleration in arguments.accelerations:
                scans = Scans(slice_, acceleration, arguments.snr, 100 * seed, same_lines=arguments.same_lines)
                case = measured(scans, nerves, arguments.methods, arguments.draws)
                cases.setdefault((acceleration, diameter_mm), []).append(case)
    print(json.dumps([summary(*key, of_knees) for key, of_knees in cases.items()], indent=1))


@dataclass(frozen=True)
class Nerves:
    """Nerves of one diameter in one slice.

    Attributes:
        places: of all.
        pattern: (y, x), what the scan shows of one of contrast 1, in a window.
        added: raw data of those at even and of those at odd places, contrast 1.
        alone: of the first.
        width_px: of the observer's channels.
    """

    diameter_mm: float
    places: list[Place]
    pattern: Float
    added: tuple[Tensor, Tensor]
    alone: Tensor
    width_px: float

    @classmethod
    def put(cls, slice_: NerveSlice, places: list[Place], diameter_mm: float) -> Nerves:
        """Into a slice."""
        shape = (slice_.knee.truth.shape[0], slice_.knee.truth.shape[1])
        pattern = nerve_pattern(diameter_mm, shape, slice_.pixel_mm)
        even, odd, alone = (with_nerves(slice_, chosen, pattern) for chosen in (places[::2], places[1::2], places[:1]))
        seen = slice(FADED - REACH, FADED + REACH + 1)
        width_px = CHANNEL_DIAMETERS * diameter_mm / math.sqrt(math.prod(slice_.pixel_mm))
        return cls(diameter_mm, places, pattern[seen, seen], (even, odd), alone, max(5.0, width_px))


@dataclass(frozen=True)
class Scans:
    """Scans of one slice: acceleration, signal of muscle over noise where every line is read, seed of the first draw."""

    slice_: NerveSlice
    acceleration: float
    snr: float
    first_seed: int
    same_lines: bool

    @property
    def noise(self) -> float:
        """Standard deviation in the magnitude of an unfolded pixel, were the g-factor 1, in units of the truth."""
        return SIMULATED_SNR / self.snr * math.sqrt(self.acceleration / 2)

    def plain(self) -> RawScan:
        """The first draw, without nerves."""
        return self.slice_.knee.at(self.acceleration, self.snr, self.first_seed)

    def holding(self, added: Tensor, contrast: float, draw: int) -> RawScan:
        """A draw of noise (and lines) with nerves of this contrast, in noise standard deviations."""
        knee = plus(self.slice_.knee, added, contrast * self.noise)
        seed = self.first_seed + draw
        if not self.same_lines:
            return knee.at(self.acceleration, self.snr, seed)
        return knee.with_lines(self.plain().counts[0], self.snr, seed)

    def possible_d_prime(self, added: Tensor, contrast: float) -> float:
        """Largest d' for a nerve whose raw data are `added` times the contrast, with the lines of the first draw."""
        plain = self.plain()
        nerve = replace(plain, kspace=contrast * self.noise * added * plain.counts[0][:, None])
        return math.sqrt(2) * float(prewhiten(nerve, estimate_whitening(plain)[0]).kspace.abs().square().sum().sqrt())


@dataclass(frozen=True)
class Case:
    """Windows (draw, place, y, x) of one slice at one acceleration by method, scaled to the truth.

    In draw i the places i % 2, i % 2 + 2, ... hold a nerve.
    """

    nerves: Nerves
    contrast: float
    noise: float
    possible: float
    cs_multiple: float
    windows: dict[str, Float]
    not_used: int

    def pairs(self, method: str, draws: NDArray[np.intp]) -> tuple[Float, Float]:
        """Windows with and without the nerve, (sample, y, x), of these draws: of each place less its own mean, plus that of all.

        What the mean over few draws takes from the spread is given back.
        """
        stacks: list[list[Float]] = [[], []]
        for even_draws in (True, False):
            chosen = self.windows[method][draws[draws % 2 == (0 if even_draws else 1)]]
            for half in (0, 1):
                stacks[0 if (half == 0) == even_draws else 1].append(chosen[:, half::2])
        present, absent = (_about_common_mean(parts) for parts in stacks)
        return present, absent

    def d_prime(self, method: str, observer: str, draws: NDArray[np.intp]) -> float:
        """Detectability for "npw" or "cho"."""
        present, absent = self.pairs(method, draws)
        if observer == "npw":
            return npw_detectability(present, absent, self.nerves.pattern)
        shape = (self.nerves.pattern.shape[0], self.nerves.pattern.shape[1])
        return cho_detectability(present, absent, laguerre_gauss_channels(shape, self.nerves.width_px))

    def kept_and_noise(self, method: str, draws: NDArray[np.intp]) -> tuple[float, float]:
        """Part of the contrast that the observer NPW is shown, and the standard deviation of that over draws."""
        present, absent = self.pairs(method, draws)
        pattern = self.nerves.pattern.ravel()
        height = pattern @ pattern * self.contrast * self.noise
        shown, empty = ((stack.reshape(len(stack), -1) @ pattern) / height for stack in (present, absent))
        return float(shown.mean() - empty.mean()), float(math.sqrt((shown.var(ddof=1) + empty.var(ddof=1)) / 2))


def _about_common_mean(parts: Sequence[Float]) -> Float:
    """Stacks (draw, place, y, x), each place about the mean of all places, as (sample, y, x)."""
    means = [part.mean(0) for part in parts]
    common = np.concatenate(means).mean(0)
    spread = [
        (part - mean) * math.sqrt(len(part) / (len(part) - 1)) + common for part, mean in zip(parts, means, strict=True)
    ]
    return np.concatenate([part.reshape(-1, *part.shape[2:]) for part in spread])


def measured(scans: Scans, nerves: Nerves, methods: Sequence[str], n_draws: int) -> Case:
    """Reconstruct all draws of one slice at one acceleration."""
    truth, inside = scans.slice_.knee.truth, scans.slice_.inside
    contrast = CONTRAST[scans.acceleration] * USUAL_MM / nerves.diameter_mm
    multiple = best_multiple(scans.plain(), truth, inside)
    found: dict[str, list[Float]] = {method: [] for method in methods}
    not_used = 0
    for draw in range(n_draws):
        images, notes = images_of(scans.holding(nerves.added[draw % 2], contrast, draw), methods, multiple)
        not_used += bool(notes)
        for method, image in images.items():
            found[method].append(windows(fitted(image, truth, inside), nerves.places))
        print(
            scans.first_seed // 100, scans.acceleration, nerves.diameter_mm, draw, *notes, file=sys.stderr, flush=True
        )
    stacks = {method: np.stack(each) for method, each in found.items()}
    possible = scans.possible_d_prime(nerves.alone, contrast)
    return Case(nerves, contrast, scans.noise, possible, multiple, stacks, not_used)


def summary(acceleration: float, diameter_mm: float, cases: list[Case]) -> dict[str, object]:
    """Over all knees."""
    n_draws, methods = len(cases[0].windows["cs"]), tuple(cases[0].windows)
    every = [np.arange(n_draws) for _ in cases]
    result: dict[str, object] = {
        "R": acceleration,
        "diameter_mm": diameter_mm,
        "contrast_noise_sd": round(cases[0].contrast, 2),
        "draws": n_draws,
        "cs_multiples": [case.cs_multiple for case in cases],
        "scans_without_network": sum(case.not_used for case in cases),
        "largest possible d'": round(float(np.mean([case.possible for case in cases])), 3),
    }
    for observer in ("npw", "cho"):
        mean_of = partial(_mean_d_prime, cases, observer)
        result[f"d' {observer}"] = {method: round(mean_of(method, every), 3) for method in methods}
        ratios = [mean_of("dl", draws) / mean_of("cs", draws) for draws in _resampled(n_draws, len(cases))]
        low, high = np.percentile(ratios, INTERVAL)
        result[f"dl/cs {observer}"] = round(mean_of("dl", every) / mean_of("cs", every), 3)
        result[f"dl/cs {observer}, 90 %"] = [round(float(low), 3), round(float(high), 3)]
        result[f"dl/cs {observer}, each knee"] = [
            round(case.d_prime("dl", observer, every[0]) / case.d_prime("cs", observer, every[0]), 3) for case in cases
        ]
    for method in methods:
        kept, noise = np.mean([case.kept_and_noise(method, every[0]) for case in cases], axis=0)
        result[f"kept, noise {method}"] = [round(float(kept), 3), round(float(noise), 3)]
    return result


def _mean_d_prime(cases: list[Case], observer: str, method: str, draws: list[NDArray[np.intp]]) -> float:
    return float(np.mean([case.d_prime(method, observer, each) for case, each in zip(cases, draws, strict=True)]))


def _resampled(n_draws: int, n_knees: int) -> Iterator[list[NDArray[np.intp]]]:
    """Draws with replacement, even and odd ones apart, for every knee its own."""
    random = np.random.default_rng(0)
    for _ in range(N_BOOTSTRAP):
        yield [
            np.concatenate([2 * _with_replacement(n_draws // 2, random) + odd for odd in (0, 1)])
            for _ in range(n_knees)
        ]


def _with_replacement(n: int, random: np.random.Generator) -> NDArray[np.intp]:
    """As many of n as there are, not all the same: one alone has no spread."""
    chosen = random.integers(0, n, n)
    return chosen if len(np.unique(chosen)) > 1 else _with_replacement(n, random)


if __name__ == "__main__":
    main()
