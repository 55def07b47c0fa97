"""One dual step of total variation on a GPU, all slices at once; `recon/total_variation.py` explains it and is its test oracle.

Two kernels (`cuda_variation.cu`): the dual field goes up, then the image follows it; the second also adds up the running mean and
the momentum's direction. That of a CPU is `variation_kernel.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from knerve.gpu.cuda_kernels import Compile, compiled_by_cupy, source_of
from knerve.gpu.cuda_update import CudaUpdate

N_THREADS = 128
SPAN = 256  # pixels of a block


class CudaVariationStep:
    """The step for a batch of slices.

    Args:
        shape: (slice, x, set, y) of the images.
        device: of everything.
        compile_source: how kernels are compiled.
        n_threads: of a block, a power of two; 1 suits a CPU.
    """

    def __init__(
        self,
        shape: Sequence[int],
        device: torch.device,
        *,
        compile_source: Compile = compiled_by_cupy,
        n_threads: int = N_THREADS,
    ) -> None:
        n_slices, n_x, n_sets, n_y = shape
        self._sides, self._n_threads = (n_x, n_y, n_slices), n_threads
        self._grid = (-(-n_y // SPAN), n_x, n_slices * n_sets)
        constants = {"SETS": n_sets, "THREADS": n_threads, "SPAN": SPAN}
        self._kernels = compile_source(source_of(("cuda_dft", "cuda_variation"), constants))
        self._fields = torch.zeros(2, 2, *shape, dtype=torch.complex64, device=device)
        self._uphill = torch.empty(n_slices, n_sets * n_x * self._grid[0], device=device)

    def reset(self) -> None:
        """Begin with no dual field."""
        self._fields.zero_()

    def __call__(self, image: Tensor, weight: Tensor, strength: Tensor, update: CudaUpdate, is_swapped: bool) -> Tensor:
        """Lower the total variation; the result goes where `update` says.

        Args:
            image: v, complex64 (slice, x, set, y).
            weight: λ, float32 (slice).
            strength: what it is multiplied with, float32 (slice).
            update: see there.
            is_swapped: every second call: the two dual fields exchange their roles.

        Returns:
            Σ Re((z - x_next)* (x_next - x)) per slice, (slice): positive where momentum points uphill.
        """
        field, following = self._fields[1 if is_swapped else 0], self._fields[0 if is_swapped else 1]
        weights = (weight, strength, *self._sides)
        self._kernels.launch("ascend", self._grid, self._n_threads, (image, field, following, *weights))
        places = (update.x, update.before, update.momentum, update.mean, update.share, self._uphill)
        self._kernels.launch("descend", self._grid, self._n_threads, (image, following, *weights, *places))
        return self._uphill.sum(1)
