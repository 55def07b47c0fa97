"""The grey window in which a whole series is shown, the same in PNG, DICOM and MRD: black is 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_PERCENTILE = 99.5
_ENOUGH_PIXELS = 4_000_000


def window_top(pixels: NDArray[np.float32]) -> float:
    """Value shown as white, above 0: a high percentile of the series, so one bright vessel darkens nothing else."""
    every = max(1, pixels.size // _ENOUGH_PIXELS)
    top = float(np.percentile(pixels.reshape(-1)[::every], WINDOW_PERCENTILE))
    return top if top > 0 else float(pixels.max()) or 1.0


def to_grey(pixels: NDArray[np.float32], top: float) -> NDArray[np.uint8]:
    """Pixels as 8-bit grey, 0 to `top`."""
    grey: NDArray[np.uint8] = np.rint(np.clip(pixels / top, 0.0, 1.0) * 255.0).astype(np.uint8)
    return grey


def window_in_words(top: float) -> str:
    """The window as a caption states it."""
    return f"window 0 to {top:.4g} in SNR units ({WINDOW_PERCENTILE:g}th percentile of the series)"
