"""How far an image is from the truth, inside the object, after one real scale factor.

NRMSE: root mean square of the difference over that of the truth. SSIM: Wang et al. 2004, doi:10.1109/TIP.2003.819861, with
Gaussian windows of 1.5 pixels and the truth's range inside the object as the dynamic range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.bench.errors import MethodFailedError
from knerve.bench.source import Truth

WINDOW_SD, WINDOW_RADIUS = 1.5, 5  # pixels
STABILISERS = (0.01, 0.03)  # of the dynamic range, as in the paper
WORST_NRMSE = 0.5  # an image farther from the truth is not of this object


@dataclass(frozen=True)
class Score:
    """NRMSE and SSIM of one image."""

    nrmse: float
    ssim: float


def score(image: NDArray[np.float32], truth: Truth) -> Score:
    """Hold a magnitude image (y, x) against the truth.

    Raises:
        MethodFailedError: the image has another shape, is not finite, or shows something else.
    """
    expected = truth.magnitude
    if image.shape != expected.shape:
        raise MethodFailedError(f"its image has the shape {image.shape}, but the case {expected.shape}.")
    if not np.isfinite(image).all():
        raise MethodFailedError("its image holds NaN or infinite pixels.")
    scaled = scaled_to(image, truth)
    error = nrmse(image, truth)
    if error > WORST_NRMSE:
        raise MethodFailedError(f"its image is not that of the object: NRMSE {error:.3g}, more than {WORST_NRMSE:g}.")
    similar = similarity(torch.from_numpy(scaled), torch.from_numpy(expected), data_range=_range(truth))
    return Score(error, float(similar.numpy()[truth.inside].mean()))


def nrmse(image: NDArray[np.float32], truth: Truth) -> float:
    """NRMSE alone; 1, as for an image of zeros, where the image is not finite."""
    if not np.isfinite(image).all():
        return 1.0
    expected = truth.magnitude[truth.inside]
    difference = scaled_to(image, truth)[truth.inside] - expected
    return float(np.linalg.norm(difference) / np.linalg.norm(expected))


def scaled_to(image: NDArray[np.float32], truth: Truth) -> NDArray[np.float32]:
    """The image times the factor that brings it closest to the truth inside the object; an image of zeros as it is."""
    found, expected = image[truth.inside], truth.magnitude[truth.inside]
    power = float(np.vdot(found, found))
    return image * np.float32(np.vdot(found, expected) / power if power > 0 else 1.0)


def similarity(image: Tensor, expected: Tensor, data_range: float) -> Tensor:
    """The map of local structural similarity of two images (y, x)."""
    c1, c2 = ((part * data_range) ** 2 for part in STABILISERS)
    x, y = image.double(), expected.double()
    mean_x, mean_y = blurred(x), blurred(y)
    variance_x, variance_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (variance_x + variance_y + c2)


def blurred(image: Tensor) -> Tensor:
    """Gaussian mean about every pixel, edges mirrored."""
    offsets = torch.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1, dtype=image.dtype)
    window = torch.exp(-0.5 * (offsets / WINDOW_SD) ** 2)
    window = window / window.sum()
    padded = torch.nn.functional.pad(image[None, None], (WINDOW_RADIUS,) * 4, mode="reflect")
    rows = torch.nn.functional.conv2d(padded, window[None, None, :, None])
    return torch.nn.functional.conv2d(rows, window[None, None, None, :])[0, 0]


def _range(truth: Truth) -> float:
    inside = truth.magnitude[truth.inside]
    return float(inside.max() - inside.min()) or math.ulp(1.0)
