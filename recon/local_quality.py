"""What became of single small structures: how much of a nerve's contrast is left, how well its pattern agrees, what of spots.

Images are real magnitudes (y, x), brought to the truth's scale before (`quality.fitted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Mask = NDArray[np.bool_]

WINDOW_DIAMETERS = 0.9  # standard deviation of the window around a structure
GAIN_REACH = 3  # pixels around a spot
NO_CONTRAST = 1e-12  # of the signal, squared


@dataclass(frozen=True)
class Recovery:
    """Of one structure.

    Attributes:
        contrast: part of its contrast that is recovered: 1 is all, 0 nothing, below 0 inverted.
        correlation: of its pattern with the truth's, -1 to 1.
    """

    contrast: float
    correlation: float


def recovery(image: Float, truth: Float, place: tuple[float, float], diameter_px: float) -> Recovery:
    """Contrast recovery ⟨a, b⟩ / ⟨a, a⟩ and correlation ⟨a, b⟩ / (|a| |b|) in a Gaussian window around a structure.

    a and b are truth and image less their means in the window, which is 0.9 diameters wide (standard deviation).

    Args:
        image: to be judged.
        truth: what it should be, same shape.
        place: row and column of the structure's middle.
        diameter_px: of the structure.

    Raises:
        ValueError: the truth has no contrast there.
    """
    y, x = np.indices(truth.shape)
    distance = (y - place[0]) ** 2 + (x - place[1]) ** 2
    weight = np.exp(-distance / (2 * (WINDOW_DIAMETERS * diameter_px) ** 2))
    weight /= weight.sum()
    a, b = (each - (weight * each).sum() for each in (truth.astype(np.float64), image.astype(np.float64)))
    aa, bb, ab = (weight * a * a).sum(), (weight * b * b).sum(), (weight * a * b).sum()
    if aa <= NO_CONTRAST * (weight * truth.astype(np.float64) ** 2).sum():
        raise ValueError(
            f"the truth has no contrast at row {place[0]:g}, column {place[1]:g}: nothing can be recovered."
        )
    return Recovery(float(ab / aa), float(ab / np.sqrt(aa * bb)) if bb > 0 else 0.0)


def median_and_worst(values: Sequence[float]) -> tuple[float, float]:
    """The middle and the lowest of values that should be high."""
    return float(np.median(values)), float(np.min(values))


def local_gains(before: Float, after: Float, inserted: Float, places: Sequence[tuple[int, int]]) -> Float:
    """Part of each inserted spot that appears in the difference of two reconstructions, (spot).

    The local perturbation response of Chan and Haldar 2021, doi:10.1002/mrm.28698, projected on the spot.

    Args:
        before: image of the object as it is.
        after: image with the spots, on the same scale.
        inserted: the spots alone.
        places: row and column of each.
    """
    difference = after - before
    gains = []
    for row, column in places:
        window = (slice(row - GAIN_REACH, row + GAIN_REACH + 1), slice(column - GAIN_REACH, column + GAIN_REACH + 1))
        gains.append(np.vdot(inserted[window], difference[window]) / np.vdot(inserted[window], inserted[window]))
    return np.array(gains)


def conspicuity(images: Float, structure: Mask, ring: Mask) -> float:
    """Contrast of a structure with its surroundings over the noise there, with sign.

    The noise is the standard deviation over noise draws, averaged over the ring's pixels; over space it would say little, because
    denoising flattens that.

    Args:
        images: (draw, y, x), at least two.
        structure: its pixels (y, x).
        ring: pixels of the surroundings (y, x).

    Raises:
        ValueError: fewer than two draws.
    """
    if len(images) < 2:
        raise ValueError(f"{len(images)} noise draw came; the noise over draws needs at least 2.")
    contrast = images[:, structure].mean() - images[:, ring].mean()
    noise = np.sqrt(images[:, ring].var(axis=0, ddof=1).mean())
    return float(contrast / noise)
