"""An object to scan: one of three kinds, in the outline of a body, with the phase of a real one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from knerve.datasets.training.drawn_objects import drawn_object
from knerve.datasets.training.knee_objects import SLICES_PER_KNEE, knee_tissues
from knerve.datasets.training.photographs import photograph, photographs

Float32 = NDArray[np.float32]

SMALLEST, LARGEST = 480, 640  # points along a side
PIXEL_MM = 0.27  # of what has no size of its own
INVERTED = 0.15  # part of the objects whose darker half has the opposite sign, as magnetisation inverted before
BLEND = 0.1  # of the brightest: around where the sign changes there is less signal
ROUGH = 0.2  # part of the objects with a phase that changes within a few pixels
FINEST_PHASE = (12, 40)  # places along a side where it is random


@dataclass(frozen=True)
class Source:
    """Where objects come from.

    Attributes:
        cache: folder of the tissues of knees.
        n_knee_slices: how many different ones.
        photographs: folder, or None for none.
        knee_share: of all objects.
        photograph_share: of all objects.
    """

    cache: Path
    n_knee_slices: int
    photographs: Path | None = None
    knee_share: float = 0.6
    photograph_share: float = 0.2

    @property
    def n_knees(self) -> int:
        """How many knees the slices are cut from."""
        return -(-self.n_knee_slices // SLICES_PER_KNEE)


def training_object(source: Source, random: np.random.Generator) -> tuple[Tensor, float]:
    """A complex object (y, x) and its pixel in mm."""
    kind, pixel_mm = random.random(), PIXEL_MM
    pictures = photographs(source.photographs)
    if kind < source.knee_share and source.n_knee_slices:
        tissues = knee_tissues(int(random.integers(source.n_knee_slices)), source.cache)
        picture, pixel_mm = tissues.object(random), tissues.pixel_mm
    else:
        n_y, n_x = (2 * int(random.integers(SMALLEST // 2, LARGEST // 2 + 1)) for _ in range(2))
        if kind < source.knee_share + source.photograph_share and pictures:
            picture = photograph(pictures[int(random.integers(len(pictures)))], (n_y, n_x), random)
        else:
            picture = drawn_object((n_y, n_x), random)
        picture = picture * _body(picture.shape, random)
    if random.random() < 0.5:
        picture = picture[::-1]
    if random.random() < INVERTED:
        picture = _partly_inverted(picture, random)
    return torch.from_numpy(np.ascontiguousarray(picture)) * _phase(picture.shape, random), pixel_mm


def smooth_noise(shape: tuple[int, ...], knots: int, random: np.random.Generator) -> Tensor:
    """A smooth field (y, x) with random values at `knots` places along each side."""
    values = torch.from_numpy(random.standard_normal((1, 1, knots, knots)))
    return interpolate(values, tuple(shape), mode="bicubic", align_corners=True)[0, 0].to(torch.float32)


def _partly_inverted(picture: Float32, random: np.random.Generator) -> Float32:
    """The picture (y, x) with what is darker than a brightness drawn turned negative."""
    seen = picture[picture > 0]
    if len(seen) == 0:
        return picture
    brightest, level = np.quantile(seen, [0.99, random.uniform(0.2, 0.6)])
    return np.asarray(picture * np.clip((picture - level) / (BLEND * brightest), -1, 1), np.float32)


def _phase(shape: tuple[int, ...], random: np.random.Generator) -> Tensor:
    angle = random.uniform(0, 1.0) * smooth_noise(shape, 3, random) + random.uniform(0, 0.4) * smooth_noise(
        shape, 8, random
    )
    if random.random() < ROUGH:
        angle += random.uniform(0, 0.5) * smooth_noise(shape, int(random.integers(*FINEST_PHASE)), random)
    return torch.polar(torch.ones_like(angle), angle + float(random.uniform(0, 2 * math.pi)))


def _body(shape: tuple[int, ...], random: np.random.Generator) -> Float32:
    """1 inside an outline, 0 outside, with an edge of about a pixel."""
    y, x = (
        np.linspace(-1, 1, n)[:, None] if axis == 0 else np.linspace(-1, 1, n)[None] for axis, n in enumerate(shape)
    )
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    outline = random.uniform(0.7, 0.95) * np.ones_like(angle)
    for k in range(1, 5):
        outline += random.normal(0, 0.05) / k * np.cos(k * angle + random.uniform(0, 2 * math.pi))
    return np.asarray(np.clip((np.minimum(outline, 0.97) - radius) * shape[0] / 2 + 0.5, 0, 1), np.float32)
