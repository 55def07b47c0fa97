"""Shrinkage of wavelet coefficients by their neighbourhoods on a GPU, all slices at once, one kernel a level and direction.

    image -> roll -> Wᵀ S_t(W image) -> roll back        S_t is `shrink_by_neighbours`; the coarsest approximation is kept

A block of threads takes one tile of all bands through filters, neighbourhoods and shrinkage in its shared memory
(`cuda_wavelets.cu`). The last kernel also adds up the running mean and the momentum's direction. The plain version, which
explains it and is its test oracle, is `WaveletTransform` with `shrink_by_neighbours`; that of a CPU is `wavelet_kernel.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from knerve.gpu.cuda_kernels import Argument, Compile, compiled_by_cupy, source_of
from knerve.gpu.cuda_update import CudaUpdate

TILE = (16, 32)  # coefficients (x, y) of each band: what fits into 48 KB with its surroundings
N_THREADS = 256
LONGEST_FILTER = 8  # taps


class CudaWaveletShrinkage:
    """The proximal operator of a wavelet prior on a batch of slices.

    Args:
        low_pass: filter, an even number of taps, at most `LONGEST_FILTER`.
        levels: of the transform.
        shape: (slice, x, set, y) of the images.
        padded: sides (x, y) that 2^levels divides; images are padded with zeros to them.
        device: of everything.
        compile_source: how kernels are compiled.
        n_threads: of a block, a power of two; 1 suits a CPU.
    """

    def __init__(
        self,
        low_pass: Sequence[float],
        levels: int,
        shape: Sequence[int],
        padded: tuple[int, int],
        device: torch.device,
        *,
        compile_source: Compile = compiled_by_cupy,
        n_threads: int = N_THREADS,
    ) -> None:
        self._n_slices, self._n_x, n_sets, self._n_y = shape
        self._n_images, self._n_threads = self._n_slices * n_sets, n_threads
        self._kernels = compile_source(
            source_of(
                ("cuda_dft", "cuda_wavelets"),
                {
                    "TAPS": len(low_pass),
                    "LOW_TAPS": [float(tap) for tap in low_pass],
                    "TILE_X": TILE[0],
                    "TILE_Y": TILE[1],
                    "SETS": n_sets,
                    "THREADS": n_threads,
                },
            )
        )
        self._halves = [(padded[0] >> level, padded[1] >> level) for level in range(1, levels + 1)]

        def empty(*sides: int) -> Tensor:
            return torch.empty(sides, dtype=torch.complex64, device=device)

        self._approximations = [empty(self._n_images, *half) for half in self._halves]
        self._details = [empty(self._n_images, 3, *half) for half in self._halves]
        self._uphill = torch.empty(self._n_slices, n_sets * self._n_tiles(0), device=device)

    def __call__(self, image: Tensor, shift: Tensor, threshold: Tensor, strength: Tensor, update: CudaUpdate) -> Tensor:
        """Shrink the images' coefficients; the result goes where `update` says.

        Args:
            image: complex64 (slice, x, set, y).
            shift: of the wavelets' grid, int32 (2).
            threshold: float32 (slice).
            strength: what it is multiplied with, float32 (slice).
            update: see there.

        Returns:
            Σ Re((z - x_next)* (x_next - x)) per slice, (slice): positive where momentum points uphill.
        """
        places = (update.x, update.before, update.momentum, update.mean, update.share, self._uphill)
        self._shrink(image, shift, threshold, strength, places)
        return self._uphill.sum(1)

    def in_place(self, image: Tensor, shift: Tensor, threshold: Tensor, strength: Tensor) -> None:
        """The same, with the shrunk images in the place of the images."""
        self._shrink(image, shift, threshold, strength, (None, image, None, None, 0.0, None))

    def _shrink(
        self, image: Tensor, shift: Tensor, threshold: Tensor, strength: Tensor, places: tuple[Argument, ...]
    ) -> None:
        for level, half in enumerate(self._halves):
            is_image = int(level == 0)
            source, sides = (image, (self._n_x, self._n_y)) if is_image else self._level(level - 1)
            padded = (2 * half[0], 2 * half[1])
            outputs = (self._approximations[level], self._details[level])
            self._launch("analyse", level, (source, is_image, *sides, *padded, shift, threshold, strength, *outputs))
        for level in range(len(self._halves) - 1, 0, -1):
            bands = (self._approximations[level], self._details[level], *self._halves[level])
            self._launch("synthesise", level, (*bands, self._approximations[level - 1]))
        bands = (self._approximations[0], self._details[0], *self._halves[0])
        self._launch("synthesise_image", 0, (*bands, self._n_x, self._n_y, shift, *places))

    def _level(self, level: int) -> tuple[Tensor, tuple[int, int]]:
        return self._approximations[level], self._halves[level]

    def _n_tiles(self, level: int) -> int:
        tiles_y, tiles_x, _ = self._grid(level)
        return tiles_x * tiles_y

    def _grid(self, level: int) -> tuple[int, int, int]:
        """Blocks along y, along x, and images."""
        half_x, half_y = self._halves[level]
        return -(-half_y // TILE[1]), -(-half_x // TILE[0]), self._n_images

    def _launch(self, name: str, level: int, arguments: tuple[Argument, ...]) -> None:
        self._kernels.launch(name, self._grid(level), self._n_threads, arguments)
