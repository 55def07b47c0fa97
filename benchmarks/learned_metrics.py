"""Measures of image quality for the learned reconstruction, each against the truth, in the leg."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

SSIM_SIGMA = 1.5
SSIM_CONSTANTS = (0.01, 0.03)  # Wang et al. 2004, doi:10.1109/TIP.2003.819861
HFEN_SIGMA = 1.5
RANGE_PERCENTILE = 99.5


def fitted(image: Float, truth: Float, inside: Mask) -> Float:
    """The image times the one real factor that brings it closest to the truth."""
    factor = np.vdot(image[inside], truth[inside]) / np.vdot(image[inside], image[inside])
    return np.asarray(factor * image, np.float32)


def nrmse(image: Float, truth: Float, inside: Mask) -> float:
    """Root mean square difference over the truth's root mean square."""
    return float(np.linalg.norm((image - truth)[inside]) / np.linalg.norm(truth[inside]))


def ssim(image: Float, truth: Float, inside: Mask) -> float:
    """Structural similarity, its data range the truth's brightest tissue."""
    data_range = float(np.percentile(truth[inside], RANGE_PERCENTILE))
    c1, c2 = ((constant * data_range) ** 2 for constant in SSIM_CONSTANTS)

    def smooth(values: Float) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values.astype(np.float64), SSIM_SIGMA))

    a, b = smooth(image), smooth(truth)
    aa, bb, ab = smooth(image**2) - a**2, smooth(truth**2) - b**2, smooth(image * truth) - a * b
    similarity = (2 * a * b + c1) * (2 * ab + c2) / ((a**2 + b**2 + c1) * (aa + bb + c2))
    return float(similarity[inside].mean())


def hfen(image: Float, truth: Float, inside: Mask) -> float:
    """Error of what a Laplacian of a Gaussian lets through: edges and small structures."""
    a, b = (gaussian_laplace(values.astype(np.float64), HFEN_SIGMA) for values in (image, truth))
    return float(np.linalg.norm((a - b)[inside]) / np.linalg.norm(b[inside]))
