"""Slices through the four genicular nerves of digital knees, with the nerves' places and with weak spots to be found again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from knee_contrasts import T2, one_slice
from knee_slices import HEIGHTS_MM, SIMULATED_SNR, KneeSlice, knee_slice
from numpy.typing import NDArray

from knerve.bench.source import inside_of
from knerve.datasets.knee import digital_knee
from knerve.datasets.slice_stack import scan_grid, slice_stack
from knerve.demo_nerves import is_seen, middle_of, pattern
from knerve.demo_stack import GENICULAR, through_the_nerves
from knerve.gpu.fourier import to_image, to_kspace
from knerve.recon.scan import RawScan

Float = NDArray[np.float32]

DEPTHS = (-0.35, 0.0, 0.35)  # of the slice's thickness
SPOT_SIGMA = 0.85  # pixels: two wide at half height
SPOT_STRENGTH = 4.0  # noise standard deviations of an unfolded pixel, were the g-factor 1
SPOT_SPACING = 24  # pixels
BRIGHT_ENOUGH = 0.2  # of the brightest: a place for a spot


@dataclass(frozen=True)
class NerveSlice:
    """One slice.

    Attributes:
        knee: its fully sampled data and truth.
        shares: (y, x) by name, the part of each pixel that a nerve covers.
        pixel_mm: along read and phase.
        inside: (y, x), the leg.
    """

    knee: KneeSlice
    shares: Mapping[str, Float]
    pixel_mm: tuple[float, float]
    inside: NDArray[np.bool_]

    def recovered(self, image: Float) -> dict[str, float]:
        """The part of each nerve's contrast that an image (y, x) keeps."""
        parts = {}
        for name, share in self.shares.items():
            true, found = (pattern(each, share, self.pixel_mm) for each in (self.knee.truth, image))
            parts[name] = float(found @ true / (true @ true))
        return parts

    def places(self) -> dict[str, tuple[float, float]]:
        """Row and column of each nerve."""
        return {name: middle_of(share) for name, share in self.shares.items()}

    def with_spots(self, acceleration: float, muscle_snr: float) -> tuple[KneeSlice, Float, list[tuple[int, int]]]:
        """The slice with a lattice of weak spots more, the spots (y, x) in units of the truth, and their places."""
        truth = self.knee.truth
        noise = SIMULATED_SNR / muscle_snr * math.sqrt(acceleration / 2)
        rows, columns = (np.arange(SPOT_SPACING // 2, n, SPOT_SPACING) for n in truth.shape)
        bright = BRIGHT_ENOUGH * np.percentile(truth, 99.5)
        places = [
            (int(y), int(x))
            for y in rows
            for x in columns
            if self.inside[y, x] and truth[y - 4 : y + 5, x - 4 : x + 5].min() > bright
        ]
        y, x = np.mgrid[: truth.shape[0], : truth.shape[1]]
        spots = np.zeros(truth.shape, np.float32)
        for row, column in places:
            near = (slice(row - 5, row + 6), slice(column - 5, column + 6))
            distance = (y[near] - row) ** 2 + (x[near] - column) ** 2
            spots[near] += SPOT_STRENGTH * noise * np.exp(-distance / (2 * SPOT_SIGMA**2))
        return replace(self.knee, scan=self._brighter(spots)), spots, places

    def _brighter(self, spots: Float) -> RawScan:
        """The raw data of an object that is brighter by `spots`: every coil sees that as it sees the place."""
        scan = self.knee.scan
        images = to_image(scan.kspace, (-2, -1))
        factor = torch.ones(images.shape[-2:])
        first = [have // 2 - want // 2 for have, want in zip(factor.shape, spots.shape, strict=True)]
        ratio = torch.from_numpy(1 + spots / np.maximum(self.knee.truth, 1e-3 * self.knee.truth.max()))
        factor[first[0] : first[0] + spots.shape[0], first[1] : first[1] + spots.shape[1]] = ratio
        return replace(scan, kspace=to_kspace(images * factor, (-2, -1)))


def nerve_slice(seed: int, contrast: str = T2) -> NerveSlice:
    """The slice of a seed's knee through its nerves."""
    if seed in HEIGHTS_MM:
        raise ValueError(f"seed {seed} is cut axially, away from the nerves; choose another than {sorted(HEIGHTS_MM)}.")
    slice_ = knee_slice(seed, contrast=contrast)
    knee = digital_knee(seed, "left" if seed % 2 == 0 else "right")
    protocol, settings = one_slice(contrast), through_the_nerves(knee, seed)
    assert settings.centre_mm is not None, "through_the_nerves sets it"
    assert settings.orientation is not None, "the same"
    (plane,) = slice_stack(protocol, settings.centre_mm, settings.orientation, settings.tilt_deg)
    grid = scan_grid(protocol)
    x_mm, y_mm = grid.image_axes_mm
    depths = [part * grid.thickness_mm for part in DEPTHS]
    shares = {}
    for name in GENICULAR:
        share = np.mean([knee.nerve_fraction(name, plane.shifted(depth), x_mm, y_mm) for depth in depths], axis=0)
        if is_seen(share):
            shares[name] = _one_piece(np.asarray(share, np.float32))
    inside = inside_of(slice_.truth)
    return NerveSlice(slice_, shares, grid.pixel_mm, inside)


def _one_piece(share: Float) -> Float:
    """Only what lies within a few pixels of the largest share: a nerve may cross the slice twice."""
    row, column = np.unravel_index(int(share.argmax()), share.shape)
    y, x = np.mgrid[: share.shape[0], : share.shape[1]]
    return np.where((y - row) ** 2 + (x - column) ** 2 < 12**2, share, 0).astype(np.float32)
