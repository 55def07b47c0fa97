"""The learned method on a GPU: the model there, its network at half precision, and its normal operator in one kernel."""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from torch import Tensor, nn

from knerve.gpu.cuda_gradient import CudaGradientStep, can_step
from knerve.gpu.cuda_kernels import Compile, compiled_by_cupy, has_cupy
from knerve.gpu.cuda_network import HalfPrecisionNetwork
from knerve.recon.learned.unrolled import Unrolled


@lru_cache(maxsize=2)
def on_device(model: Unrolled, device: torch.device) -> Unrolled:
    """The model where the images are: on a GPU a copy, its network at half precision."""
    if device.type != "cuda":
        return model
    moved = copy.deepcopy(model).to(device)
    moved.networks = nn.ModuleList(HalfPrecisionNetwork(each) for each in moved.networks)
    return moved.requires_grad_(False).eval()


def can_run(n_lines: int) -> bool:
    """Whether the kernel knows problems with so many lines, and can be compiled here."""
    return has_cupy() and can_step(n_lines, 1)


class CudaNormal:
    """x -> Aᴴ A x / n of one slice and one set of sensitivities; `PlainNormal` explains it."""

    def __init__(self, maps: Tensor, power: Tensor, compile_source: Compile = compiled_by_cupy) -> None:
        """Prepare the kernel.

        Args:
            maps: complex64, (x, coil, y).
            power: (ky), as of `PlainNormal`.
            compile_source: how kernels are compiled.
        """
        threads = None if maps.is_cuda else 1
        whole = maps[None, :, None].contiguous()
        self._step = CudaGradientStep(whole, len(power), 0.0, compile_source=compile_source, threads_per_block=threads)
        self._step.set_counts(power[None])

    def __call__(self, image: Tensor) -> Tensor:
        """(batch, x, y) to the same."""
        return torch.stack([self._step.normal(each[None, :, None].contiguous())[0, :, 0] for each in image])
