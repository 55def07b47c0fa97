"""One gradient step of 2-D SENSE problems in hybrid space on a GPU, all slices at once, fused into a single kernel.

    z = x + β (x - x_before),      target = z - step · (Sᴴ F⁻¹ w F S z + μ·i Im z - right),      w: counts of the ky lines

Only images and sensitivities pass through memory: a block of threads takes a few columns through all coils, coil images live in
its shared memory and registers (`cuda_gradient.cu`). The plain version, which explains it and is its test oracle, is
`CartesianEncoding.normal`; that of a CPU is `normal_kernel.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from knerve.gpu.cuda_kernels import Compile, compiled_by_cupy, source_of

RADICES = (10, 9, 8, 6, 5, 4, 3, 2)  # of the passes that the kernel knows
SHORTEST, LONGEST = 12, 4096  # lines: two passes at least; shared memory
MOST_SETS = 2
WANTED_THREADS = 160  # of a block


def passes(n: int) -> tuple[int, ...] | None:
    """Radices of the passes whose product is n, fewest first choice, an odd one last if there is any; None if it has no such."""
    found = min(_factorings(n, RADICES), key=lambda radices: (len(radices), sum(radices)), default=None)
    if found is None:
        return None
    # the last pass reads numbers that lie next to each other: an odd stride meets all banks of the shared memory
    return tuple(sorted(found, key=lambda radix: (radix % 2, -radix)))


def can_step(n_lines: int, n_sets: int) -> bool:
    """Whether the kernel knows problems of this size."""
    return SHORTEST <= n_lines <= LONGEST and n_sets <= MOST_SETS and passes(n_lines) is not None


class CudaGradientStep:
    """The step for a batch of slices; images are complex64 (slice, x, set, y), contiguous.

    Args:
        maps: complex64 (slice, x, set, coil, y), contiguous; they are read, not copied.
        n_lines: along ky, at least as many as rows y.
        imaginary_penalty: μ.
        compile_source: how kernels are compiled.
        threads_per_block: None leaves it to the kernel; 1 suits a CPU.
        columns_per_block: None leaves it to the number of threads.
    """

    def __init__(
        self,
        maps: Tensor,
        n_lines: int,
        imaginary_penalty: float,
        *,
        compile_source: Compile = compiled_by_cupy,
        threads_per_block: int | None = None,
        columns_per_block: int | None = None,
    ) -> None:
        if not maps.is_contiguous():
            raise ValueError(
                f"the kernel reads maps in order, and these have the strides {maps.stride()}; make them contiguous."
            )
        self._n_slices, self._n_columns, n_sets, n_coils, n_rows = maps.shape
        radices = passes(n_lines)
        if radices is None or len(radices) < 2:
            raise ValueError(f"{n_lines} lines have no transform in passes of {RADICES}; ask `can_step` before.")
        lanes = n_lines // radices[0] if threads_per_block is None else threads_per_block
        columns = columns_per_block or max(1, WANTED_THREADS // lanes if threads_per_block is None else 1)
        self._n_threads, self._grid = lanes * columns, (-(-self._n_columns // columns), self._n_slices, 1)
        self._kernels = compile_source(
            source_of(
                ("cuda_dft", "cuda_gradient"),
                {
                    "N": n_lines,
                    "ROWS": n_rows,
                    "RADICES": radices,
                    "COILS": n_coils,
                    "SETS": n_sets,
                    "COLUMNS": columns,
                    "LANES": lanes,
                },
            )
        )
        self._maps, self._penalty, self._radices = maps, imaginary_penalty, radices
        angle = -2 * math.pi * torch.arange(n_lines, dtype=torch.float64) / n_lines
        self._roots = torch.polar(torch.ones_like(angle), angle).to(maps)
        self._power = torch.zeros(self._n_slices, n_lines, device=maps.device)
        self._whole, self._no_momentum = (
            -torch.ones(self._n_slices, device=maps.device),
            torch.zeros_like(self._power[:, 0]),
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(slice, x, set, y)."""
        return *self._maps.shape[:3], self._maps.shape[4]

    def set_counts(self, counts: Tensor) -> None:
        """Take the weights w: `counts (slice, ky)`, ky = 0 at index n // 2."""
        n = counts.shape[1]
        in_fft_order = torch.fft.ifftshift(counts.to(torch.float32), dim=1) / n
        self._power.copy_(in_fft_order[:, frequency_order(self._radices).to(counts.device)])

    def __call__(
        self, x: Tensor, before: Tensor, momentum: Tensor, right: Tensor, step: Tensor, target: Tensor
    ) -> None:
        """Fill `target` with the images after the step from x, which `before` were before; momentum and step (slice)."""
        self._launch(x, before, momentum, right, step, 1.0, target)

    def normal(self, image: Tensor) -> Tensor:
        """Sᴴ F⁻¹ w F S z + μ·i Im z of images z."""
        result = torch.empty_like(image)
        self._launch(image, image, self._no_momentum, None, self._whole, 0.0, result)
        return result

    def _launch(
        self,
        x: Tensor,
        before: Tensor,
        momentum: Tensor,
        right: Tensor | None,
        step: Tensor,
        keep: float,
        target: Tensor,
    ) -> None:
        arguments = (self._maps, self._power, self._roots, x, before, right, momentum, step)
        self._kernels.launch(
            "gradient_step",
            self._grid,
            self._n_threads,
            (*arguments, keep, float(self._penalty), self._n_columns, target),
        )


def frequency_order(radices: tuple[int, ...]) -> Tensor:
    """Which frequency lies where after the passes, int64 (n)."""
    order = torch.zeros(1, dtype=torch.int64)
    for radix in reversed(radices):
        # a pass leaves radix blocks; block q holds the frequencies q + radix · (those of the rest)
        order = (torch.arange(radix)[:, None] + radix * order).flatten()
    return order


def _factorings(n: int, radices: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All ways to write n as a product of radices, each in the order of `radices`."""
    if n == 1:
        yield ()
    for i, radix in enumerate(radices):
        if n % radix == 0:
            for rest in _factorings(n // radix, radices[i:]):
                yield (radix, *rest)
