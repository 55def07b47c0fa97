"""Nerves of known size put into the raw data of a digital knee, at places in muscle and fat where it has none.

    coil image <- coil image · (1 + c s / truth)        s: what the band of the scan shows of discs of height 1, c: contrast

A nerve that crosses a slice at a right angle is a disc in it. Its Fourier integral is known in closed form; the samples that the
scan has of it, transformed, are the image, at any diameter, parts of pixels included. Discs lie on the middles of pixels, so that
one pattern serves all; they are brighter than muscle and darker than fat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from knee_contrasts import T2, one_slice
from knee_slices import KneeSlice
from learned_knees import NerveSlice
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, minimum_filter
from torch import Tensor

from knerve.datasets.analytic_phantom import Ellipse
from knerve.datasets.knee import digital_knee
from knerve.datasets.slice_stack import scan_grid, slice_stack
from knerve.demo_stack import through_the_nerves
from knerve.gpu.fourier import to_image, to_kspace

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

REACH = 8  # pixels around a nerve that observers see
FULL, FADED = 10, 16  # pixels from a nerve's middle: its ringing is complete up to here, and gone from here on
APART = 34  # pixels between two nerves
SURROUNDINGS = 11  # pixels, square: of muscle or fat alone
PURE = 0.85  # of each of those pixels
FROM_REAL_NERVES = 12  # pixels
FROM_THE_EDGE = 20  # pixels of the image
TISSUES = {"muscle": 1.0, "subcutaneous_fat": -1.0}  # and the sign of a nerve's contrast in them


@dataclass(frozen=True)
class Place:
    """Middle pixel of a nerve, and whether it is brighter (1) or darker (-1) than what is around it."""

    row: int
    column: int
    sign: float


def nerve_pattern(diameter_mm: float, shape: tuple[int, int], pixel_mm: tuple[float, float]) -> Float:
    """What a scan shows of a disc of height 1 on the middle of a pixel, (y, x), 2 `FADED` + 1 pixels square.

    Args:
        diameter_mm: of the disc.
        shape: (y, x) of the image, and so of the samples in k-space.
        pixel_mm: along read and phase.
    """
    step_x, step_y = pixel_mm
    frequency_y, frequency_x = ((np.arange(n) - n // 2) / (n * d) for n, d in zip(shape, (step_y, step_x), strict=True))
    disc = Ellipse("nerve", 0.0, 0.0, diameter_mm / 2, diameter_mm / 2)
    spectrum = disc.spectrum(frequency_x[None, :], frequency_y[:, None])
    offset = np.arange(-FADED, FADED + 1)
    along_y, along_x = (
        np.exp(2j * np.pi * np.outer(offset * d, f)) for d, f in ((step_y, frequency_y), (step_x, frequency_x))
    )
    cell = 1 / (shape[0] * step_y * shape[1] * step_x)
    seen = (along_y @ spectrum @ along_x.T).real * cell
    distance = np.hypot(offset[:, None], offset[None, :])
    fade = np.cos(np.pi / 2 * np.clip((distance - FULL) / (FADED - FULL), 0, 1)) ** 2
    return np.asarray(seen * fade, np.float32)


def nerve_free_places(slice_: NerveSlice, seed: int, n_places: int) -> list[Place]:
    """Places in muscle and fat, far from each other and from the knee's own nerves, in an order drawn with the seed.

    Raises:
        ValueError: the slice has fewer.
    """
    signs = _signs(seed, slice_.knee.truth.shape)
    real = np.any([share > 0 for share in slice_.shares.values()], axis=0)
    signs[binary_dilation(real, iterations=FROM_REAL_NERVES)] = 0
    signs[~slice_.inside] = 0
    edge = np.ones_like(real)
    edge[FROM_THE_EDGE:-FROM_THE_EDGE, FROM_THE_EDGE:-FROM_THE_EDGE] = False
    signs[edge] = 0
    found: list[Place] = []
    for row, column in np.random.default_rng(seed).permutation(np.argwhere(signs)).tolist():
        if all((row - p.row) ** 2 + (column - p.column) ** 2 >= APART**2 for p in found):
            found.append(Place(row, column, float(signs[row, column])))
            if len(found) == n_places:
                return found
    raise ValueError(
        f"{n_places} places were asked for, and knee {seed} has {len(found)} that far apart; ask for fewer."
    )


def with_nerves(slice_: NerveSlice, places: list[Place], pattern: Float) -> Tensor:
    """What nerves of contrast 1 add to the raw data, (slice, coil, ky, kx)."""
    truth, scan = slice_.knee.truth, slice_.knee.scan
    share = np.zeros_like(truth)
    for place in places:
        rows, columns = (slice(middle - FADED, middle + FADED + 1) for middle in (place.row, place.column))
        share[rows, columns] += place.sign * pattern
    images = to_image(scan.kspace, (-2, -1))
    factor = torch.zeros(images.shape[-2:])
    first = [have // 2 - want // 2 for have, want in zip(factor.shape, truth.shape, strict=True)]
    relative = torch.from_numpy(share / np.maximum(truth, 1e-3 * truth.max()))
    factor[first[0] : first[0] + truth.shape[0], first[1] : first[1] + truth.shape[1]] = relative
    return to_kspace(images * factor, (-2, -1))


def plus(knee: KneeSlice, added: Tensor, contrast: float) -> KneeSlice:
    """The slice with `contrast` times what `with_nerves` made more in its raw data."""
    return replace(knee, scan=replace(knee.scan, kspace=knee.scan.kspace + contrast * added))


def windows(image: Float, places: list[Place]) -> Float:
    """The image around each place, in the nerve's sign: (place, y, x), 2 `REACH` + 1 pixels square."""
    return np.stack(
        [p.sign * image[p.row - REACH : p.row + REACH + 1, p.column - REACH : p.column + REACH + 1] for p in places]
    )


def _signs(seed: int, shape: tuple[int, ...]) -> Float:
    """Sign of a nerve's contrast (y, x) where its surroundings are of one tissue, else 0."""
    knee = digital_knee(seed, "left" if seed % 2 == 0 else "right")
    protocol, settings = one_slice(T2), through_the_nerves(knee, seed)
    assert settings.centre_mm is not None, "through_the_nerves sets it"
    assert settings.orientation is not None, "the same"
    (plane,) = slice_stack(protocol, settings.centre_mm, settings.orientation, settings.tilt_deg)
    fractions = np.zeros((len(knee.tissues), *shape), np.float32)
    knee.add_fractions(fractions, plane, *scan_grid(protocol).image_axes_mm, np.ones(len(knee.tissues)))
    signs = np.zeros(shape, np.float32)
    for tissue, sign in TISSUES.items():
        share = fractions[knee.tissues.index(tissue)]
        signs[minimum_filter(share, SURROUNDINGS) > PURE] = sign
    return signs
