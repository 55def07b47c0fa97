"""How far the image may be from the truth: half the width of a 90 % interval for the magnitude of each pixel.

    e² = mean over draws of ( |f(A x + n)| - |x| )²  +  (0.2 |P_null x|)²,  smoothed
    interval  |x| ± q e

The draws take the image x for the truth and add fresh noise n: they show what this scan's noise, lines and coils and the method's
own bias make of an object like this one, but not the detail that x has lost already. That is missing where the method had to fill
in, so a fifth of what came from the prior is added: with it one q serves accelerations of 3 to 6 and signals that differ by two.
q is the quantile of |error| / e over digital knees with known truth (split conformal prediction, Vovk et al. 2005,
doi:10.1007/b106715). Coverage is an average over pixels, no promise for any one of them.
"""

from __future__ import annotations

import json
import math
from importlib.resources import files

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from knerve.recon.learned.maps.prepared import PreparedSlice
from knerve.recon.learned.maps.refit import Refit
from knerve.recon.learned.weights import CARD

COVERAGE = 0.9
DRAWS = 4
PRIOR_DOUBT = 0.2  # of what came from the prior
SMOOTHING = 2.0  # pixels: a few draws say little about a pixel by itself
FACTORS = {"dl": 1.366, "cs": 1.433}  # q, from `benchmarks/trust_coverage.py`
# SHA-256 of the weights for which the factor of "dl" was found
CALIBRATED_WEIGHTS = "a250da3a823d2fe01d1b2540298f135210ac997da11fa623c2323ffbb8e975ff"
OTHER_WEIGHTS = (
    "the uncertainty map was calibrated with other weights than these: its intervals may hold more or fewer than 90 % of the "
    "pixels. benchmarks/trust_coverage.py calibrates it again."
)


def error_spread(slice_: PreparedSlice, refit: Refit, image: Tensor, prior: Tensor, seed: int) -> Tensor:
    """e, float32 (x, y), in the units of the image; costs one reconstruction a draw.

    Args:
        slice_: its data.
        refit: the method.
        image: (1, x, 1, y), what it made of them.
        prior: P_null of it, (x, y).
        seed: of the noise.
    """
    encoding = slice_.encoding
    generator = torch.Generator().manual_seed(seed)
    seen = encoding.normal(image)
    read = torch.zeros_like(encoding.counts, dtype=torch.bool)
    read[:, slice_.own_lines] = encoding.counts[:, slice_.own_lines] > 0
    total = torch.zeros_like(image.real)
    for _ in range(DRAWS):
        noise = torch.randn(encoding.kspace_shape, generator=generator, dtype=torch.complex64).to(image.device)
        again = refit.image(encoding, seen + encoding.adjoint(noise * read[:, None, None]))
        total += (again.abs() - image.abs()).square()
    mean = (total / DRAWS)[0, :, 0] + (PRIOR_DOUBT * prior).abs().square()
    return torch.from_numpy(gaussian_filter(mean.cpu().numpy(), SMOOTHING)).sqrt().to(image.device)


def half_width(spread: Tensor, method: str) -> Tensor:
    """Half the width of the interval, q e, in the units of e."""
    return FACTORS[method] * spread


def calibration_note(method: str) -> tuple[str, ...]:
    """What must be said of the map of a method: nothing where it was calibrated with the weights that are installed."""
    return () if method != "dl" or installed_weights() == CALIBRATED_WEIGHTS else (OTHER_WEIGHTS,)


def installed_weights() -> str | None:
    """SHA-256 of the package's weights, as their card has it; None where there are none."""
    card = files("knerve.recon.learned").joinpath(CARD)
    return str(json.loads(card.read_text(encoding="utf-8"))["sha256"]) if card.is_file() else None


def calibration_factor(error: Tensor, spread: Tensor) -> float:
    """q: the quantile of |error| / e, both (pixel), that covers `COVERAGE` of pixels not yet seen."""
    ratio = (error.abs() / spread.clamp(min=1e-12)).flatten().double().sort().values
    rank = min(len(ratio), math.ceil(COVERAGE * (len(ratio) + 1)))
    return float(ratio[rank - 1])
