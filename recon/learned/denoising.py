"""The network of the reconstruction as a plain denoiser of images that exist already, with a map of their noise.

    z = y / σ,   x = σ · bound( D(wavelet shrinkage of z), z )        no pixel moves more than `trust.BOUND` σ

In units of its noise any image is a fully sampled scan of one coil with equal sensitivity everywhere, so the network refines the
wavelet solution of that scan. The step of data consistency that ends a reconstruction is left out: where every line was read it
would bring the noise back.

The network tells noise from structure by what lies across the phase, too. Magnitude images have lost that part of their noise, so
one is drawn for them from a fixed seed; what becomes of it is no part of a magnitude and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.errors import SettingsError
from knerve.recon.learned.cuda_model import on_device
from knerve.recon.learned.domain import FEWEST_PIXELS
from knerve.recon.learned.fused_normal import normal_of_slice
from knerve.recon.learned.method import NO_WEIGHTS
from knerve.recon.learned.precision import fast_convolutions
from knerve.recon.learned.problem import Problem
from knerve.recon.learned.trust import BOUND, bounded
from knerve.recon.learned.unrolled import Unrolled
from knerve.recon.learned.weights import packaged_model
from knerve.recon.methods import cs
from knerve.recon.regularisation import typical_signal
from knerve.recon.settings import Settings

SEED = 0  # of the noise that magnitude images have lost
SIGNAL = (2.0, 400.0)  # typical signal over complex noise: where it was measured to be better than wavelets


@dataclass(frozen=True)
class Denoised:
    """One image.

    Attributes:
        image: complex64, (y, x), in the units that came.
        moved: float32, (y, x): how far each pixel moved, in noise standard deviations of each real part.
        at_bound: bool, (y, x): where it was held back.
        of_magnitude: whether it came without a phase, and with it without half of its noise, which was drawn for it.
        unused: why wavelet shrinkage alone was used; None where the network was.
    """

    image: Tensor
    moved: Tensor
    at_bound: Tensor
    of_magnitude: bool
    unused: str | None = None


def denoised(image: Tensor, noise: Tensor, settings: Settings, model: Unrolled | None = None) -> Denoised:
    """Denoise one image.

    Args:
        image: complex64, (y, x).
        noise: standard deviation of the noise in each real part, white from pixel to pixel, (y, x); pixels where it is 0 stay
            as they are.
        settings: of the wavelet shrinkage.
        model: another than the package's own.

    Raises:
        SettingsError: shapes that do not fit, values that are not finite, negative noise.
    """
    _check(image, noise)
    known = noise > 0
    unit = (2**0.5 * noise).clamp(min=1e-30)  # of complex noise
    scaled = torch.where(known, image / unit, 0)
    of_magnitude = not bool(image.imag.any())
    whole = scaled + 1j * known * _lost_noise(scaled) if of_magnitude else scaled
    columns = whole.T.contiguous()[None, :, None]
    maps = torch.ones(1, columns.shape[1], 1, 1, columns.shape[-1], dtype=torch.complex64, device=image.device)
    encoding = CartesianEncoding(maps, torch.ones(1, columns.shape[-1], dtype=torch.int32, device=image.device))
    start = cs(encoding, columns, settings)
    model = packaged_model() if model is None else model
    unused = NO_WEIGHTS if model is None else _outside(columns, image)
    result = start[0, :, 0]
    if model is not None and unused is None:
        problem = Problem(columns[:, :, 0], start[:, :, 0], torch.ones_like(columns[0, :, 0].real))
        with torch.no_grad(), fast_convolutions(image.device):
            *_, refined, _consistent = on_device(model, image.device)(problem, normal_of_slice(encoding, 0))
        result = refined[0]
    if of_magnitude:
        result = result.real.to(result.dtype)
    result, held = bounded(result.T, scaled, torch.ones_like(noise))
    moved = 2**0.5 * (result - scaled).abs() * known
    return Denoised(torch.where(known, result * unit, image), moved, held & known, of_magnitude, unused)


def residual_correlation(before: Tensor, after: Tensor, noise: Tensor) -> float:
    """Correlation of what was taken out with the same one pixel on, mean over both directions; 0 for white noise.

    Structure that was taken out with the noise makes it positive. All (y, x); pixels without noise take no part.
    """
    known = noise > 0
    taken = torch.where(known, (before - after) / noise.clamp(min=1e-30), 0)
    found = []
    for dim in (0, 1):
        pairs = known.narrow(dim, 1, known.shape[dim] - 1) & known.narrow(dim, 0, known.shape[dim] - 1)
        a, b = (taken.narrow(dim, first, taken.shape[dim] - 1)[pairs] for first in (0, 1))
        scale = (a.abs().square().sum() * b.abs().square().sum()).sqrt().clamp(min=1e-30)
        found.append(float((a * b.conj()).real.sum() / scale))
    return sum(found) / len(found)


def _lost_noise(image: Tensor) -> Tensor:
    """Noise of one real part, float32, shaped as the image, whose complex noise is 1."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(image.shape, generator=generator).to(image.device) / 2**0.5


def _outside(columns: Tensor, image: Tensor) -> str | None:
    """Why the network does not know such an image; None if it does."""
    if min(image.shape) < FEWEST_PIXELS:
        return f"it was trained on images of at least {FEWEST_PIXELS} pixels along each side"
    signal = float(typical_signal(columns))
    low, high = SIGNAL
    if not low <= signal <= high:
        return f"it is known to help at signals of {low:g} to {high:g} times the noise, and here it is {signal:.3g}"
    return None


def _check(image: Tensor, noise: Tensor) -> None:
    if image.ndim != 2 or image.shape != noise.shape:
        raise SettingsError(
            f"the image has the shape {tuple(image.shape)} and its noise map {tuple(noise.shape)}; expected one shape (y, x)."
        )
    for name, values in (("the image", torch.view_as_real(image)), ("the noise map", noise)):
        n_broken = int((~torch.isfinite(values)).sum())
        if n_broken:
            raise SettingsError(
                f"{name} holds {n_broken} values that are not finite (NaN or infinity); replace them, and set the noise map to 0 "
                "where nothing is known."
            )
    if bool((noise < 0).any()):
        raise SettingsError(
            f"the noise map holds negative values, down to {float(noise.min()):.3g}; expected standard deviations."
        )
    if not bool((noise > 0).any()):
        raise SettingsError(f"the noise map is 0 everywhere: nothing can be denoised (a bound of {BOUND:g} times 0).")
