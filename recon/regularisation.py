"""How strongly to regularise: decided in noise units, from the sampling and the signal, so that nobody has to tune it.

    λ = max( a · f · √n · SNR^-p,  b · max(1, 1/4f)^q · signal )     f sampled fraction of the lines, n averages per line

What a threshold must suppress is noise, of known size in whitened data, and what is left of the aliasing, a small fraction of
the signal that grows where few lines are sampled (for the width of the object: an empty oversampled margin does not alias).
Clean images have more real detail just above the noise, hence the falling power of the SNR. The constants were measured on
data with known truth, R = 2 to 6 and SNR 10 to 400 (`benchmarks/regularisation.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.transform_length import first_acquired

NOISE_SHARE = 1.75  # a: of the noise standard deviation
SNR_POWER = 0.35  # p
SIGNAL_SHARE = 0.0008  # b: of the typical signal, up to R = 4
ALIASING_POWER = 2.5  # q: of R / 4 beyond
TV_TO_WAVELET = 0.7  # a gradient needs a smaller threshold than a wavelet coefficient


def largest_count(encoding: CartesianEncoding) -> Tensor:
    """Most readouts averaged into a line, per slice, (slice, 1, ...): Aᴴ y over it has the size of the image."""
    largest = encoding.counts.flatten(1).amax(1).to(torch.float32).clamp(min=1)
    return largest.reshape(-1, *(1,) * (len(encoding.image_shape) - 1))


def largest_eigenvalue(encoding: CartesianEncoding) -> Tensor:
    """Largest eigenvalue of Aᴴ A per slice: the sensitivities have unit norm, so the largest count bounds it."""
    return largest_count(encoding) + encoding.imaginary_penalty


def automatic_weight(encoding: CartesianEncoding, right_side: Tensor) -> Tensor:
    """Weight λ of the wavelet prior for ½ ‖A x - y‖² + λ ‖Ψ x‖₁, per slice, (slice, 1, ...).

    Args:
        encoding: A, whitened and weighted: the data carry unit noise on every sampled line.
        right_side: Aᴴ y, (slice, x, set, [z,] y).
    """
    counts = encoding.counts.to(torch.float32)
    length = counts.shape[-1]
    first = first_acquired(length, encoding.added_lines)
    counts = counts.narrow(-1, first, length - encoding.added_lines).flatten(1)
    fraction = encoding.sampled_fraction
    averages = counts.sum(1) / (counts > 0).sum(1).clamp(min=1)
    signal = typical_signal(right_side)
    snr = (signal / largest_count(encoding).flatten().sqrt()).clamp(min=1)
    noise_part = NOISE_SHARE * fraction * averages.sqrt() * snr**-SNR_POWER
    aliasing = (object_share(encoding) / (4 * fraction)).clamp(min=1) ** ALIASING_POWER
    signal_part = SIGNAL_SHARE * aliasing * signal
    return torch.maximum(noise_part, signal_part).reshape(-1, *(1,) * (right_side.ndim - 1))


def object_share(encoding: CartesianEncoding) -> Tensor:
    """Share of the phase-encoded field of view that the object fills anywhere along the readout, per slice."""
    seen = encoding.maps.abs().amax(dim=3) > 0  # (slice, x, set, [z,] y)
    return seen.flatten(1, 2).any(1).flatten(1).float().mean(1)


def typical_signal(right_side: Tensor) -> Tensor:
    """Intensity-weighted mean magnitude per slice: Σ|x|² / Σ|x|, blind to the size of the background."""
    magnitude = right_side.abs().flatten(1)
    return magnitude.square().sum(1) / magnitude.sum(1).clamp(min=1e-30)
