"""Training samples by number: made once, each from its own random numbers, and kept in a folder.

The same recipe makes the same samples, in any order and by any number of processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from knerve.datasets.training.knee_objects import SLICES_PER_KNEE, knee_tissues
from knerve.datasets.training.objects import Source, training_object
from knerve.datasets.training.scans import TrainingScan, training_scan
from knerve.recon.learned.fused_normal import normal_of_slice
from knerve.recon.learned.losses import gains
from knerve.recon.learned.sample import TrainingSample
from knerve.recon.learned.start import problem_of_slice
from knerve.recon.learned.unrolled import unfolded
from knerve.recon.methods import cs, starting_settings, wiener_weight
from knerve.recon.noise_map import analytic_noise_map
from knerve.recon.regularisation import largest_count
from knerve.recon.settings import Settings

STRIP = 96  # columns
STRIPS_PER_SCAN = 4
LEAST_FILLED = 0.15  # part of a strip that must hold signal
SETTINGS = starting_settings(Settings(map_sets=1, snr_map="none"))
INSERTS = (15, 60)  # weak structures in a strip
INSERT_SIZE = (0.6, 1.1)  # standard deviation, pixels
INSERT_STRENGTH = (0.7, 5.0)  # noise standard deviations; weak ones as often as strong ones
LONGEST_INSERT = 4.0  # length over width


@dataclass(frozen=True)
class Samples:
    """All samples of a recipe.

    Attributes:
        source: of objects.
        folder: where they are kept.
        n_scans: how many scans; each gives up to `STRIPS_PER_SCAN` samples.
        seed: of everything.
    """

    source: Source
    folder: Path
    n_scans: int
    seed: int = 0

    def of_scan(self, number: int) -> list[TrainingSample]:
        """The samples of one scan, made now or read."""
        self.make(number)
        return [TrainingSample.load(path) for path in self._paths(number)]

    def make(self, number: int) -> None:
        """Make the samples of one scan, if they are not there."""
        if not self.is_made(number):
            for path, sample in zip(self._paths(number), self._made(number), strict=True):
                sample.save(path)

    def is_made(self, number: int) -> bool:
        """Whether the samples of one scan are there."""
        return all(path.exists() for path in self._paths(number))

    def draw_knee(self, number: int) -> None:
        """Draw all slices of one knee, which together cost less than one by one, if they are not there."""
        for k in range(SLICES_PER_KNEE):
            knee_tissues(SLICES_PER_KNEE * number + k, self.source.cache)

    def one(self, number: int) -> TrainingSample:
        """Sample `number` of `len`."""
        scan, strip = divmod(number, STRIPS_PER_SCAN)
        path = self._paths(scan)[strip]
        return TrainingSample.load(path) if path.exists() else self.of_scan(scan)[strip]

    def __len__(self) -> int:
        return self.n_scans * STRIPS_PER_SCAN

    def _paths(self, number: int) -> list[Path]:
        return [self.folder / f"scan-{number:05d}-{k}.pt" for k in range(STRIPS_PER_SCAN)]

    def _made(self, number: int) -> list[TrainingSample]:
        random = np.random.default_rng([self.seed, number, 5])
        picture, pixel_mm = training_object(self.source, random)
        return strips_of(training_scan(picture, pixel_mm, SETTINGS, random), random)


def strips_of(scan: TrainingScan, random: np.random.Generator) -> list[TrainingSample]:
    """Strips with their twins, from places where there is something to see."""
    encoding, averages = scan.encoding, largest_count(scan.encoding)
    start = cs(encoding, scan.right_side, SETTINGS)
    noise = analytic_noise_map(encoding, wiener_weight(encoding, scan.right_side))
    insert, places = _insert(scan, noise[0, :, 0], random)
    twin_side = scan.right_side + encoding.normal(insert[None, :, None])
    twin_start = (cs(encoding, twin_side, SETTINGS) - start)[0, :, 0]
    problem, normal = problem_of_slice(encoding, scan.right_side, start, noise, 0), normal_of_slice(encoding, 0)
    folded = problem.right - normal(problem.start)
    d = unfolded(normal, folded)
    twin_folded = normal((insert - twin_start)[None])
    shown = gains(twin_start, insert, places)
    twin_d = unfolded(normal, folded + twin_folded) - d
    strength = scan.sensitivities.strength[0, :, 0]
    maps = encoding.maps[0, :, 0]
    samples = []
    for first in _places_of_strips(strength, scan.truth, random):
        columns = slice(first, first + STRIP)
        inside = (places[:, 0] >= first) & (places[:, 0] < first + STRIP)
        samples.append(
            TrainingSample(
                maps=torch.view_as_real(maps[columns]).half(),
                power=encoding.counts[0].to(torch.float32) / averages.flatten(),
                right=problem.right[0, columns].clone(),
                start=problem.start[0, columns].clone(),
                folded=folded[0, columns].clone(),
                unfolded=d[0, columns].clone(),
                twin_start=twin_start[columns].clone(),
                twin_folded=twin_folded[0, columns].clone(),
                twin_unfolded=twin_d[0, columns].clone(),
                noise=problem.noise[columns].clone(),
                truth=scan.truth[columns].clone(),
                insert=insert[columns].clone(),
                weight=strength[columns].clone(),
                places=places[inside] - torch.tensor([first, 0]),
                gains=shown[inside],
            )
        )
    return samples


def _places_of_strips(strength: Tensor, truth: Tensor, random: np.random.Generator) -> list[int]:
    """First columns, spread over the object."""
    filled = ((strength > 0.5) & (truth.abs() > 0)).float().mean(1)
    inside = torch.nonzero(filled > LEAST_FILLED).flatten().tolist() or [0, len(filled) - 1]
    low = max(0, inside[0] - STRIP // 4)
    high = max(low, min(len(filled), inside[-1] + STRIP // 4) - STRIP)
    edges = np.linspace(low, high, STRIPS_PER_SCAN + 1)
    return [int(random.integers(math.floor(a), math.floor(b) + 1)) for a, b in pairwise(edges)]


def _insert(scan: TrainingScan, noise: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Weak spots and short lines (x, y) in the phase of the image, brighter or darker than it, and their places."""
    n_x, n_y = noise.shape
    insert = torch.zeros(n_x, n_y, dtype=torch.complex64)
    solid = torch.nonzero(scan.sensitivities.strength[0, :, 0] > 0.9)
    n = int(random.integers(*INSERTS)) * max(1, n_x // STRIP)
    if len(solid) == 0:
        return insert, torch.zeros(0, 2, dtype=torch.int64)
    places = solid[torch.from_numpy(random.integers(0, len(solid), n))]
    for x, y in places.tolist():
        sd, turn = random.uniform(*INSERT_SIZE), random.uniform(0, math.pi)
        stretch = random.uniform(1, LONGEST_INSERT) if random.random() < 0.4 else 1.0
        reach = math.ceil(3 * sd * stretch)
        rows, columns = slice(max(0, x - reach), x + reach + 1), slice(max(0, y - reach), y + reach + 1)
        dx = torch.arange(n_x)[rows][:, None] - x + random.uniform(-0.5, 0.5)
        dy = torch.arange(n_y)[columns][None] - y + random.uniform(-0.5, 0.5)
        along, across = math.cos(turn) * dx + math.sin(turn) * dy, math.cos(turn) * dy - math.sin(turn) * dx
        spot = torch.exp(-((along / stretch).square() + across.square()) / (2 * sd**2))
        strength = math.exp(random.uniform(*np.log(INSERT_STRENGTH)))
        amplitude = random.choice([-1, 1]) * strength * float(noise[x, y]) / 2**0.5
        phase = scan.truth[x, y] / scan.truth[x, y].abs().clamp(min=1e-6)
        insert[rows, columns] += amplitude * spot * phase
    return insert, places
