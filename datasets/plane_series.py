"""A series as its writers take it: one 2-D image after the other, where each lies, and the grey window that all share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.display_window import window_top
from knerve.datasets.slice_planes import Plane, planes
from knerve.recon.images import ImageSeries

OBJECT_FRACTION = 0.1  # of the grey window
OBJECT_SNR = 4.0  # air exceeds it in one pixel of 3000

Values = NDArray[np.float32]


@dataclass(frozen=True)
class PlaneSeries:
    """What every writer needs of a series, worked out once; start from `plane_series`.

    Attributes:
        images: the series itself.
        planes: where each 2-D image lies; partitions follow each other within each entry of the `slice` axis.
        pixels: (plane, y, x), magnitude in SNR units.
        snr: (plane, y, x), local signal-to-noise ratio, or None.
        noise_level: (plane, y, x), or None.
        window_top: value shown as white.
    """

    images: ImageSeries
    planes: tuple[Plane, ...]
    pixels: Values
    snr: Values | None
    noise_level: Values | None
    window_top: float

    def object_mask(self, chosen: int | slice = slice(None)) -> NDArray[np.bool_]:
        """Pixels of the chosen planes that belong to the imaged object rather than to air."""
        magnitude = self.pixels[chosen]
        snr = magnitude if self.snr is None else self.snr[chosen]
        mask: NDArray[np.bool_] = (magnitude > OBJECT_FRACTION * self.window_top) & (snr > OBJECT_SNR)
        return mask


def plane_series(images: ImageSeries) -> PlaneSeries:
    """Lay out a series for its writers."""
    magnitude: Values = images.magnitude.cpu().numpy()
    shape = (-1, *magnitude.shape[-2:])
    snr, noise_level = images.snr, images.noise_level
    return PlaneSeries(
        images=images,
        planes=planes(images),
        pixels=magnitude.reshape(shape),
        snr=None if snr is None else snr.cpu().numpy().reshape(shape),
        noise_level=None if noise_level is None else noise_level.cpu().numpy().reshape(shape),
        window_top=window_top(magnitude),
    )
