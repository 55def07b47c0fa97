"""The iterates of the proximal gradient method for 2-D scans on a CPU, each in two fused passes over memory.

How it differs from `plain_iterates`: gradient step and wavelet shrinkage are the kernels of `gpu/`, one slice after the other.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from knerve.gpu.fft_lengths import factors
from knerve.gpu.normal_kernel import GradientStep
from knerve.gpu.wavelet_kernel import Update, WaveletShrinkage
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.sparsity import SparsityPrior
from knerve.recon.wavelets import FILTERS


def can_fuse(encoding: CartesianEncoding, prior: SparsityPrior) -> bool:
    """Whether the kernels know this problem: 2-D, wavelets along both axes, a length made of 2, 3 and 5, on a CPU."""
    is_2d = encoding.counts.ndim == 2 and not encoding.maps.is_cuda
    only_wavelets = type(prior) is SparsityPrior and prior.tv_weight is None and len(prior.wavelet.dims) == 2
    return is_2d and only_wavelets and prior.shrinkage == "neighbours" and factors(encoding.counts.shape[1]) is not None


class FusedIterates:
    """See `knerve.recon.proximal_gradient.Iterates`; the arguments are those of `proximal_gradient`."""

    def __init__(
        self, encoding: CartesianEncoding, right_side: Tensor, prior: SparsityPrior, lipschitz: Tensor
    ) -> None:
        steps = 1 / lipschitz.flatten()
        thresholds = (steps * prior.wavelet_weight.flatten()).tolist()
        self._prior, self._shape = prior, right_side.shape
        self._slices = [
            _Slice(encoding, s, right_side[s], prior, step, threshold)
            for s, (step, threshold) in enumerate(zip(steps.tolist(), thresholds, strict=True))
        ]

    def advance(self, momentum: Tensor, strength: Tensor, share: float) -> Tensor:
        """The next iterate; see the protocol."""
        shift = self._prior.next_shift()
        settings = zip(self._slices, momentum.flatten().tolist(), strength.flatten().tolist(), strict=True)
        uphill = [each.advance(beta, c, share, shift) for each, beta, c in settings]
        return torch.tensor(uphill, dtype=torch.float32).reshape(momentum.shape)

    def take_mean(self) -> Tensor:
        """The mean since the last call, shaped as the right side."""
        return torch.stack([each.take_mean() for each in self._slices])


class _Slice:
    """One slice's planes and kernels."""

    def __init__(
        self,
        encoding: CartesianEncoding,
        s: int,
        right_side: Tensor,
        prior: SparsityPrior,
        step: float,
        threshold: float,
    ) -> None:
        self._gradient = GradientStep(encoding.maps[s], encoding.counts[s], encoding.imaginary_penalty)
        wavelet = prior.wavelet
        padded_x, padded_y = wavelet.padded_sides
        self._wavelets = WaveletShrinkage(
            FILTERS[wavelet.name],
            wavelet.levels,
            self._gradient.n_columns,
            (padded_x, padded_y),
            self._gradient.planes_shape,
        )
        self._right = self._gradient.planes(right_side)
        self._step, self._threshold = step, threshold
        self._x, self._before, self._next, self._stepped, self._mean = (np.zeros_like(self._right) for _ in range(5))

    def advance(self, momentum: float, strength: float, share: float, shift: tuple[int, ...]) -> float:
        self._gradient(self._x, self._before, momentum, self._right, self._step, self._stepped)
        update = Update(self._x, self._before, momentum, self._next, self._mean, share)
        uphill = self._wavelets(self._stepped, (shift[0], shift[1]), strength * self._threshold, update)
        self._before, self._x, self._next = self._x, self._next, self._before
        return uphill

    def take_mean(self) -> Tensor:
        mean = self._gradient.image(self._mean)
        self._mean[:] = 0
        return mean
