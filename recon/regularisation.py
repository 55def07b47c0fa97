"""How strongly to regularise: decided in noise units, from the sampling and the signal, so that nobody has to tune it.

    t² = (a · f^p · √n)² + (b · signal)²        f sampled fraction of the lines, n averages per line

What a threshold must suppress is noise, of known size in whitened data, and what is left of the aliasing, a small fraction of
the signal; the two are independent. The constants were measured on data with known truth: three digital knees and a phantom of
flat shapes, R = 2 to 7, signal 20 to 540 times the noise (`benchmarks/regularisation.py`), and a real brain: there a lower a is
best, against a reference that is noisy itself. a is what costs both least: 0.5 % of the error in the mean over the knees.
"""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.transform_length import own_lines

NOISE_SHARE = 0.75  # a: of the noise standard deviation
FRACTION_POWER = 0.2  # p
SIGNAL_SHARE = 0.0035  # b: of the typical signal
SOFT = 0.25  # a soft threshold takes itself off every coefficient: it has to be smaller
TOTAL_VARIATION = 0.075  # of the wavelets' weight: both together have the lowest errors


def largest_count(encoding: CartesianEncoding) -> Tensor:
    """Most readouts averaged into a line, per slice, (slice, 1, ...): Aᴴ y over it has the size of the image."""
    largest = encoding.counts.flatten(1).amax(1).to(torch.float32).clamp(min=1)
    return largest.reshape(-1, *(1,) * (len(encoding.image_shape) - 1))


def largest_eigenvalue(encoding: CartesianEncoding) -> Tensor:
    """Largest eigenvalue of Aᴴ A per slice: the sensitivities have unit norm, so the largest count bounds it."""
    return largest_count(encoding) + encoding.imaginary_penalty


def automatic_weight(encoding: CartesianEncoding, right_side: Tensor) -> Tensor:
    """Weight λ of the wavelet prior beside ½ ‖A x - y‖², per slice, (slice, 1, ...): of its "neighbours" shrinkage.

    Args:
        encoding: A, whitened and weighted: the data carry unit noise on every sampled line.
        right_side: Aᴴ y, (slice, x, set, [z,] y).
    """
    own = own_lines(encoding.counts.shape[-1], encoding.added_lines)
    counts = encoding.counts[..., own].to(torch.float32).flatten(1)
    averages = counts.sum(1) / (counts > 0).sum(1).clamp(min=1)
    noise_part = NOISE_SHARE * encoding.sampled_fraction**FRACTION_POWER * averages.sqrt()
    signal_part = SIGNAL_SHARE * typical_signal(right_side)
    return torch.hypot(noise_part, signal_part).reshape(-1, *(1,) * (right_side.ndim - 1))


def typical_signal(right_side: Tensor) -> Tensor:
    """Intensity-weighted mean magnitude per slice: Σ|x|² / Σ|x|, blind to the size of the background."""
    magnitude = right_side.abs().flatten(1)
    return magnitude.square().sum(1) / magnitude.sum(1).clamp(min=1e-30)
