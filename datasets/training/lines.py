"""Which lines the scans that are learned from read: spread as protocols do, drawn freely, or every n-th one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from knerve.sequences.sampling import calibration_block, smallest_possible_gap, variable_density

LEAST_R = 2.0
LINES = {"spread": 0.55, "free": 0.25, "regular": 0.2}  # share of the scans
LIMITED = 0.3  # share of the spread ones whose gaps are limited
GAP = (1.7, 5.0)  # these, in mean ones
MOST_REGULAR = 5
STEEPEST = 2.5  # density power of spread lines; flat densities are drawn more often


def training_lines(n_y: int, most: float, random: np.random.Generator) -> tuple[Tensor, tuple[int, int]]:
    """Counts (ky) of a pattern of `n_y` lines at an acceleration of at most `most`, and its calibration block."""
    acceleration = random.uniform(LEAST_R, most)
    n_lines = round(n_y / acceleration)
    n_calibration = 2 * int(random.integers(8, max(9, int(min(40, 0.6 * n_lines)) // 2 + 1)))
    kind = str(random.choice(list(LINES), p=list(LINES.values())))
    if kind == "regular":
        return regular_lines(n_y, acceleration, n_calibration, random)
    if kind == "free":
        return free_lines(n_y, n_lines, n_calibration, random.uniform(1.0, 3.0), random)
    gap = None
    if random.random() < LIMITED:
        least = smallest_possible_gap(n_y, n_y, n_lines, n_calibration)
        gap = max(least, round(random.uniform(*GAP) * acceleration))
    pattern = variable_density(
        n_y,
        n_lines,
        n_calibration=n_calibration,
        density_power=STEEPEST * random.uniform(0.0, 1.0) ** 1.5,
        largest_gap=gap,
        seed=int(random.integers(2**31)),
    )
    return torch.from_numpy(pattern.sampled.astype(np.int32)), pattern.calibration


def free_lines(
    n_y: int, n_lines: int, n_calibration: int, density_power: float, random: np.random.Generator
) -> tuple[Tensor, tuple[int, int]]:
    """Lines that nothing but chance keeps apart, as many scanners and data sets have them."""
    calibration = calibration_block(n_y, n_calibration)
    weight = (1 - np.abs(np.arange(n_y) - n_y // 2) / (n_y // 2 + 1)) ** density_power
    weight[slice(*calibration)] = 0
    counts = torch.zeros(n_y, dtype=torch.int32)
    counts[slice(*calibration)] = 1
    counts[torch.from_numpy(random.choice(n_y, n_lines - n_calibration, replace=False, p=weight / weight.sum()))] = 1
    return counts, calibration


def regular_lines(
    n_y: int, acceleration: float, n_calibration: int, random: np.random.Generator
) -> tuple[Tensor, tuple[int, int]]:
    """Every n-th line and the centre, at about the acceleration; parallel imaging goes less far than random lines."""
    step = min(MOST_REGULAR, max(2, round(acceleration)))
    counts = torch.zeros(n_y, dtype=torch.int32)
    counts[int(random.integers(step)) :: step] = 1
    calibration = calibration_block(n_y, n_calibration)
    counts[slice(*calibration)] = 1
    return counts, calibration
