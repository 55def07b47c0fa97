"""Which way to the gradient step is the quickest on this GPU for problems of one size: measured once per process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from knerve.gpu.cuda_choice import quickest
from knerve.gpu.cuda_gradient import CudaGradientStep
from knerve.gpu.cuda_kernels import Compile
from knerve.gpu.cuda_normal import FftStep, GradientStep, MatrixStep

TRIED_SLICES = 4  # enough to fill a GPU
COLUMNS = (1, 2, 3, 4)  # of a block of the kernel
REFERENCE = "fft"

Make = Callable[[Tensor, int, float], GradientStep]


def quickest_step(maps: Tensor, counts: Tensor, imaginary_penalty: float, compile_source: Compile) -> GradientStep:
    """The step for these problems, with its weights set; ways that fail here or are not right are passed over.

    Args:
        maps: complex64 (slice, x, set, coil, y), contiguous; read again at every step.
        counts: (slice, ky).
        imaginary_penalty: μ.
        compile_source: how kernels are compiled.
    """
    n_lines, are_alike = counts.shape[1], bool((counts == counts[:1]).all())
    makers = ways(compile_source)
    if not are_alike:
        del makers["matrix"]
    n_sampled = int((counts[0] > 0).sum()) if are_alike else None
    place = torch.cuda.get_device_name(maps.device) if maps.is_cuda else "cpu"
    key = (place, *maps.shape[1:], n_lines, n_sampled)
    some_maps, some_counts = maps[:TRIED_SLICES], counts[:TRIED_SLICES]
    trials = {
        name: _Trial(partial(make, some_maps, n_lines, imaginary_penalty), some_counts) for name, make in makers.items()
    }
    choice = quickest(key, trials, REFERENCE)
    step = makers[choice.name](maps, n_lines, imaginary_penalty)
    step.set_counts(counts)
    return step


def ways(compile_source: Compile) -> dict[str, Make]:
    """All ways to the step, by name."""
    kernels: dict[str, Make] = {
        f"kernel, {n} columns": partial(CudaGradientStep, compile_source=compile_source, columns_per_block=n)
        for n in COLUMNS
    }
    return {REFERENCE: FftStep, "matrix": MatrixStep, **kernels}


class _Trial:
    """One step of random images, made when first called."""

    def __init__(self, make: Callable[[], GradientStep], counts: Tensor) -> None:
        self._make, self._counts = make, counts
        self._step: GradientStep | None = None
        self._images: Tensor | None = None

    def __call__(self) -> Tensor:
        if self._step is None:
            self._step = self._make()
            self._step.set_counts(self._counts)
        step = self._step
        shape = step.image_shape
        device = self._counts.device
        if self._images is None:
            generator = torch.Generator(device=device).manual_seed(0)
            self._images = torch.randn((4, *shape), dtype=torch.complex64, device=device, generator=generator)
        x, before, right, target = self._images
        slices = torch.full(shape[:1], 0.7, device=device)
        step(x, before, slices, right, slices, target)
        return target
