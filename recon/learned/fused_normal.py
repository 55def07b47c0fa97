"""x -> Aᴴ A x / n with the fused kernels of the solver, without gradients; the class is for CPUs. `PlainNormal` explains it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from knerve.gpu.fft_lengths import factors
from knerve.gpu.normal_kernel import GradientStep
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.learned import cuda_model
from knerve.recon.learned.problem import Normal, PlainNormal


class FusedNormal:
    """Of one slice and one set of sensitivities."""

    def __init__(self, maps: Tensor, power: Tensor) -> None:
        """Prepare the kernel.

        Args:
            maps: complex64, (x, coil, y).
            power: (y), as of `PlainNormal`.
        """
        self._step = GradientStep(maps.unsqueeze(1), power, 0.0)
        self._nothing = np.zeros(self._step.planes_shape, np.float32)
        self._target = np.zeros_like(self._nothing)

    def __call__(self, image: Tensor) -> Tensor:
        """(batch, x, y) to the same: x minus a gradient step of length 1 with nothing on the right side."""
        return torch.stack([each - self._stepped(each) for each in image])

    def _stepped(self, image: Tensor) -> Tensor:
        planes = self._step.planes(image.unsqueeze(1))
        self._step(planes, planes, 0.0, self._nothing, 1.0, self._target)
        return self._step.image(self._target)[:, 0]


def normal_of_slice(encoding: CartesianEncoding, s: int) -> Normal:
    """Aᴴ A / n of slice `s` of an encoding with one set of 2-D maps; the fused kernel where it knows the problem."""
    maps, counts = encoding.maps[s, :, 0], encoding.counts[s].to(torch.float32)
    power = counts / counts.max().clamp(min=1)
    if maps.is_cuda and cuda_model.can_run(len(counts)):
        return cuda_model.CudaNormal(maps, power)
    if maps.is_cuda or factors(len(counts)) is None:
        return PlainNormal(maps, power)
    return FusedNormal(maps, power)
