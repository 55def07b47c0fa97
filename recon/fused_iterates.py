"""The iterates of the proximal gradient method for 2-D scans on a CPU, each in a few fused passes over memory.

How it differs from `plain_iterates`: gradient step, wavelet shrinkage and the step of total variation are the kernels of `gpu/`,
one slice after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from knerve.gpu.fft_lengths import factors
from knerve.gpu.image_update import Update
from knerve.gpu.normal_kernel import GradientStep
from knerve.gpu.variation_kernel import VariationStep
from knerve.gpu.wavelet_kernel import WaveletShrinkage
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.iterates import Iterates
from knerve.recon.sparsity import SparsityPrior
from knerve.recon.wavelets import FILTERS


def can_fuse(encoding: CartesianEncoding, prior: SparsityPrior) -> bool:
    """Whether the kernels know this problem: 2-D, wavelets along both axes, a length made of 2, 3 and 5, on a CPU."""
    is_2d = encoding.counts.ndim == 2 and not encoding.maps.is_cuda
    both_axes = type(prior) is SparsityPrior and len(prior.wavelet.dims) == 2
    return is_2d and both_axes and prior.shrinkage == "neighbours" and factors(encoding.counts.shape[1]) is not None


class FusedIterates(Iterates):
    """See `knerve.recon.iterates.Iterates`; the arguments are those of `proximal_gradient`."""

    def __init__(
        self, encoding: CartesianEncoding, right_side: Tensor, prior: SparsityPrior, lipschitz: Tensor
    ) -> None:
        steps = 1 / lipschitz.flatten()
        thresholds = (steps * prior.wavelet_weight.flatten()).tolist()
        variations = [0.0] * len(steps) if prior.tv_weight is None else (steps * prior.tv_weight.flatten()).tolist()
        self._prior = prior
        self._slices = [
            _Slice(encoding, s, right_side[s], prior, strengths)
            for s, strengths in enumerate(map(_Strengths, steps.tolist(), thresholds, variations))
        ]

    def advance(self, momentum: Tensor, strength: Tensor, share: float) -> Tensor:
        """The next iterate; see the base class."""
        shift = self._prior.next_shift()
        settings = zip(self._slices, momentum.flatten().tolist(), strength.flatten().tolist(), strict=True)
        uphill = [each.advance(beta, c, share, shift) for each, beta, c in settings]
        return torch.tensor(uphill, dtype=torch.float32).reshape(momentum.shape)

    def take_mean(self) -> Tensor:
        """The mean since the last call, shaped as the right side."""
        return torch.stack([each.take_mean() for each in self._slices])


@dataclass(frozen=True)
class _Strengths:
    """Of one slice: length of the gradient step, threshold of the wavelets and weight of the variation after it."""

    step: float
    threshold: float
    variation: float


class _Slice:
    """One slice's planes and kernels."""

    def __init__(
        self, encoding: CartesianEncoding, s: int, right_side: Tensor, prior: SparsityPrior, strengths: _Strengths
    ) -> None:
        self._gradient = GradientStep(encoding.maps[s], encoding.counts[s], encoding.imaginary_penalty)
        wavelet, shape = prior.wavelet, self._gradient.planes_shape
        padded_x, padded_y = wavelet.padded_sides
        n_rows = self._gradient.n_columns
        self._wavelets = WaveletShrinkage(FILTERS[wavelet.name], wavelet.levels, n_rows, (padded_x, padded_y), shape)
        self._variation = VariationStep(n_rows, shape) if strengths.variation > 0 else None
        self._right = self._gradient.planes(right_side)
        self._strengths = strengths
        self._x, self._before, self._next, self._stepped, self._mean = (np.zeros_like(self._right) for _ in range(5))

    def advance(self, momentum: float, strength: float, share: float, shift: tuple[int, ...]) -> float:
        at = self._strengths
        self._gradient(self._x, self._before, momentum, self._right, at.step, self._stepped)
        update = Update(self._x, self._before, momentum, self._next, self._mean, share)
        threshold, grid = strength * at.threshold, (shift[0], shift[1])
        if self._variation is None:
            uphill = self._wavelets(self._stepped, grid, threshold, update)
        else:
            self._wavelets(self._stepped, grid, threshold, replace(update, target=self._stepped, share=0.0))
            uphill = self._variation(self._stepped, strength * at.variation, update)
        self._before, self._x, self._next = self._x, self._next, self._before
        return uphill

    def take_mean(self) -> Tensor:
        mean = self._gradient.image(self._mean)
        self._mean[:] = 0
        return mean
