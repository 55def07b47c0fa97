"""How far an image is from a known truth: the usual numbers, for comparison with what others report.

Images and truth are real magnitudes (y, x); `inside` (y, x) bool says which pixels count. None of these numbers sees a small weak
structure that is gone: see `recognition.py` and `local_quality.py` for what a reader would miss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

SSIM_SIGMA = 1.5  # pixels
SSIM_TRUNCATE = 3.5  # windows of 11 pixels, as in the paper
SSIM_CONSTANTS = (0.01, 0.03)  # of the data range
HFEN_SIGMA = 1.5  # pixels
RANGE_PERCENTILE = 99.5


def fitted(image: Float, truth: Float, inside: Mask) -> Float:
    """The image times the one real factor that brings it closest to the truth."""
    _check(image, truth, inside)
    factor = np.vdot(image[inside], truth[inside]) / np.vdot(image[inside], image[inside])
    return np.asarray(factor * image, np.float32)


def nrmse(image: Float, truth: Float, inside: Mask) -> float:
    """Root mean square difference over the truth's root mean square."""
    _check(image, truth, inside)
    return float(np.linalg.norm((image - truth)[inside]) / np.linalg.norm(truth[inside]))


def ssim(image: Float, truth: Float, inside: Mask, data_range: float | None = None) -> float:
    """Structural similarity, -1 to 1, mean of its map (Wang et al. 2004, doi:10.1109/TIP.2003.819861).

    Args:
        image: to be judged.
        truth: what it should be.
        inside: pixels that count.
        data_range: of the values; None takes the truth's brightest tissue.
    """
    _check(image, truth, inside)
    span = float(np.percentile(truth[inside], RANGE_PERCENTILE)) if data_range is None else data_range
    c1, c2 = ((constant * span) ** 2 for constant in SSIM_CONSTANTS)

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, SSIM_SIGMA, truncate=SSIM_TRUNCATE))

    found, expected = image.astype(np.float64), truth.astype(np.float64)
    a, b = smooth(found), smooth(expected)
    aa, bb, ab = smooth(found**2) - a**2, smooth(expected**2) - b**2, smooth(found * expected) - a * b
    similarity = (2 * a * b + c1) * (2 * ab + c2) / ((a**2 + b**2 + c1) * (aa + bb + c2))
    return float(similarity[inside].mean())


def hfen(image: Float, truth: Float, inside: Mask) -> float:
    """High-frequency error norm: error of what a Laplacian of a Gaussian lets through, over the truth's.

    Ravishankar and Bresler 2011, doi:10.1109/TMI.2010.2090538.
    """
    _check(image, truth, inside)
    a, b = (gaussian_laplace(values.astype(np.float64), HFEN_SIGMA) for values in (image, truth))
    return float(np.linalg.norm((a - b)[inside]) / np.linalg.norm(b[inside]))


def ripple(image: Float, inside: Mask) -> float:
    """Structured ripple of a uniform object: standard deviation over mean, after slow shading and pixel noise are taken out.

    Shading is a polynomial of the fourth order in y and x; noise is what a Gaussian of one pixel takes out. Not in per cent.

    Raises:
        ValueError: fewer pixels than the polynomial has terms.
    """
    _check(image, image, inside)
    smooth = gaussian_filter(image.astype(np.float64), 1.0)
    y, x = (part / max(1, size) - 0.5 for part, size in zip(np.nonzero(inside), image.shape, strict=True))
    terms = [y**i * x**j for i in range(5) for j in range(5 - i)]
    if len(y) < 4 * len(terms):
        raise ValueError(
            f"{len(y)} pixels are inside; a shading of {len(terms)} terms needs at least {4 * len(terms)}."
        )
    basis = np.stack(terms, axis=1)
    values = smooth[inside]
    shading = basis @ np.linalg.lstsq(basis, values, rcond=None)[0]
    return float(np.std(values - shading) / values.mean())


def _check(image: Float, truth: Float, inside: Mask) -> None:
    if not image.shape == truth.shape == inside.shape or image.ndim != 2:
        raise ValueError(
            f"image, truth and mask have the shapes {image.shape}, {truth.shape} and {inside.shape}; expected one shape (y, x)."
        )
    if not inside.any():
        raise ValueError("no pixel is inside: nothing can be measured; check the mask.")
