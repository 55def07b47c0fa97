"""The iterates of the proximal gradient method for 2-D scans on a GPU: all slices at once, a cycle of them as one CUDA graph.

How it differs from `fused_iterates`: nothing comes back to the host between the iterations that make one mean. Memory,
kernels and graphs of a problem's size are kept for the next problem of that size, whichever thread it comes from.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable

import torch
from torch import Tensor

from knerve.gpu.cuda_gradient import CudaGradientStep, can_step
from knerve.gpu.cuda_graph import Replayed
from knerve.gpu.cuda_kernels import Compile, compiled_by_cupy, has_cupy
from knerve.gpu.cuda_normal import GradientStep, MatrixStep
from knerve.gpu.cuda_step import quickest_step
from knerve.gpu.cuda_update import CudaUpdate
from knerve.gpu.cuda_variation import N_THREADS as VARIATION_THREADS
from knerve.gpu.cuda_variation import CudaVariationStep
from knerve.gpu.cuda_wavelets import LONGEST_FILTER, N_THREADS, CudaWaveletShrinkage
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.iterates import Iterates, Schedule
from knerve.recon.sparsity import CYCLE, SparsityPrior
from knerve.recon.wavelets import FILTERS

KEPT = 4  # problems whose memory waits for the next one: objects of as many heights, see `object_rows`


def can_run(encoding: CartesianEncoding, prior: SparsityPrior) -> bool:
    """Whether the kernels know this problem: 2-D, wavelets along both axes, few sets; and whether they can be compiled here."""
    if encoding.counts.ndim != 2 or not has_cupy():
        return False
    both_axes = type(prior) is SparsityPrior and len(prior.wavelet.dims) == 2
    short = len(FILTERS[prior.wavelet.name]) <= LONGEST_FILTER
    fits = can_step(encoding.counts.shape[1], encoding.maps.shape[2])
    return both_axes and prior.shrinkage == "neighbours" and short and fits


def release_memory() -> None:
    """Give back what is kept for the next problem."""
    _waiting.clear()


class CudaIterates(Iterates):
    """See `knerve.recon.iterates.Iterates`; the first arguments are those of `proximal_gradient`."""

    def __init__(
        self,
        encoding: CartesianEncoding,
        right_side: Tensor,
        prior: SparsityPrior,
        lipschitz: Tensor,
        *,
        compile_source: Compile = compiled_by_cupy,
        n_threads: int | None = None,
    ) -> None:
        """Take the problem.

        Args:
            encoding: A.
            right_side: Aᴴ y.
            prior: R.
            lipschitz: per slice.
            compile_source: how kernels are compiled.
            n_threads: of a block; None leaves it to the kernels, 1 suits a CPU.
        """
        self._prior = prior
        key = _size(encoding, prior, compile_source, n_threads)
        self._work = _waiting.take(key) or _Workspace(encoding, prior, compile_source, n_threads)
        weakref.finalize(self, _waiting.put, key, self._work).atexit = False
        self._work.load(encoding, right_side, 1 / lipschitz.flatten(), prior)

    def advance(self, momentum: Tensor, strength: Tensor, share: float) -> Tensor:
        """The next iterate; see the base class."""
        self._work.set_shifts([self._prior.next_shift()])
        return self._work.iterate(0, momentum.flatten(), strength.flatten(), share).reshape(momentum.shape)

    def take_mean(self) -> Tensor:
        """The mean since the last call, shaped as the right side."""
        mean = self._work.mean.clone()
        self._work.mean.zero_()
        return mean

    def advance_by(self, n_iterations: int, schedule: Schedule) -> None:
        """Some iterations, at most `CYCLE`, without the host; see the base class."""
        self._work.set_shifts([self._prior.next_shift() for _ in range(n_iterations)])
        self._work.schedule.copy_from(schedule)
        self._work.replay(n_iterations)
        schedule.copy_from(self._work.schedule)


class _Workspace:
    """Everything that stays in its place for problems of one size."""

    def __init__(
        self, encoding: CartesianEncoding, prior: SparsityPrior, compile_source: Compile, n_threads: int | None
    ) -> None:
        device = encoding.maps.device
        self._maps = torch.empty_like(encoding.maps, memory_format=torch.contiguous_format)
        n_slices = self._maps.shape[0]

        def images() -> Tensor:
            return torch.zeros(encoding.image_shape, dtype=torch.complex64, device=device)

        self._right, self._stepped, self.mean = images(), images(), images()
        self._x, self._before = images(), images()
        self._steps, self._thresholds, self._variations = (torch.empty(n_slices, device=device) for _ in range(3))
        self._shifts = torch.zeros(CYCLE, 2, dtype=torch.int32, device=device)
        self.schedule = Schedule(torch.ones(n_slices, *(1,) * (self._right.ndim - 1), device=device))
        self._compile, self._n_threads = compile_source, n_threads
        self._gradient: GradientStep | None = None
        self._counts: Tensor | None = None
        wavelet = prior.wavelet
        padded_x, padded_y = wavelet.padded_sides
        self._wavelets = CudaWaveletShrinkage(
            FILTERS[wavelet.name],
            wavelet.levels,
            encoding.image_shape,
            (padded_x, padded_y),
            device,
            compile_source=compile_source,
            n_threads=n_threads or N_THREADS,
        )
        self._variation: CudaVariationStep | None = None
        if prior.tv_weight is not None:
            self._variation = CudaVariationStep(
                encoding.image_shape, device, compile_source=compile_source, n_threads=n_threads or VARIATION_THREADS
            )
        self._graphs: dict[tuple[int, bool], Replayed] = {}
        self._is_swapped = False

    def load(self, encoding: CartesianEncoding, right_side: Tensor, steps: Tensor, prior: SparsityPrior) -> None:
        """Take a problem and begin from zero."""
        self._maps.copy_(encoding.maps)
        self._right.copy_(right_side)
        self._steps.copy_(steps)
        self._thresholds.copy_(steps * prior.wavelet_weight.flatten())
        if self._variation is not None and prior.tv_weight is not None:
            self._variations.copy_(steps * prior.tv_weight.flatten())
            self._variation.reset()
        for images in (self._x, self._before, self.mean):
            images.zero_()
        self._is_swapped = False
        if self._gradient is None or (isinstance(self._gradient, MatrixStep) and not self._has_lines(encoding.counts)):
            self._gradient, self._graphs = self._new_step(encoding), {}
        self._gradient.set_counts(encoding.counts)
        self._counts = encoding.counts

    def _has_lines(self, counts: Tensor) -> bool:
        """Whether these are the lines that the matrix was made for."""
        return self._counts is not None and torch.equal(counts, self._counts)

    def set_shifts(self, shifts: list[tuple[int, ...]]) -> None:
        """Shifts of the wavelets' grid in the next iterations."""
        self._shifts[: len(shifts)].copy_(torch.tensor(shifts, dtype=torch.int32))

    def iterate(self, i: int, momentum: Tensor, strength: Tensor, share: float) -> Tensor:
        """One iteration with shift i; momentum, strength and the result (slice)."""
        assert self._gradient is not None, "iterations come after `load`"
        x, before = (self._before, self._x) if self._is_swapped else (self._x, self._before)
        self._gradient(x, before, momentum, self._right, self._steps, self._stepped)
        update = CudaUpdate(x, before, momentum, self.mean, share)
        shrinkage = (self._stepped, self._shifts[i], self._thresholds, strength)
        if self._variation is None:
            uphill = self._wavelets(*shrinkage, update)
        else:
            self._wavelets.in_place(*shrinkage)
            uphill = self._variation(self._stepped, self._variations, strength, update, self._is_swapped)
        self._is_swapped = not self._is_swapped
        return uphill

    def replay(self, n_iterations: int) -> None:
        """Some iterations with their schedule: recorded at the second time, replayed from the third time on."""
        was_swapped = self._is_swapped
        key = (n_iterations, was_swapped)
        if key not in self._graphs:
            self._graphs[key] = Replayed(self._maps.device)
        self._graphs[key](lambda: self._iterate_on_schedule(n_iterations))
        self._is_swapped = was_swapped ^ bool(n_iterations % 2)

    def _iterate_on_schedule(self, n_iterations: int) -> None:
        schedule = self.schedule
        for i in range(n_iterations):
            momentum, strength = schedule.momentum.flatten(), schedule.strength.flatten()
            schedule.follow(self.iterate(i, momentum, strength, 1 / n_iterations).reshape(schedule.momentum.shape))

    def _new_step(self, encoding: CartesianEncoding) -> GradientStep:
        """The quickest way to the gradient step on this GPU; on a CPU the kernel."""
        counts, penalty = encoding.counts, encoding.imaginary_penalty
        if self._maps.is_cuda:
            return quickest_step(self._maps, counts, penalty, self._compile)
        return CudaGradientStep(
            self._maps, counts.shape[1], penalty, compile_source=self._compile, threads_per_block=self._n_threads
        )


def _size(
    encoding: CartesianEncoding, prior: SparsityPrior, compile_source: Compile, n_threads: int | None
) -> Hashable:
    """What a workspace fits."""
    maps = encoding.maps
    shapes = (maps.device, maps.shape, encoding.counts.shape, encoding.imaginary_penalty)
    return *shapes, prior.wavelet, prior.tv_weight is None, compile_source, n_threads


class _Waiting:
    """Workspaces whose problem is solved, for the next problem of their size, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # garbage may be collected while it is held, and comes here
        self._kept: list[tuple[Hashable, _Workspace]] = []

    def take(self, key: Hashable) -> _Workspace | None:
        """The newest one of this size; if there is none, room for it."""
        with self._lock:
            found = next((each for each in reversed(self._kept) if each[0] == key), None)
            if found is not None:
                self._kept = [each for each in self._kept if each is not found]
                return found[1]
            self._kept = self._kept[1 - KEPT :]  # before new memory is taken
            return None

    def put(self, key: Hashable, workspace: _Workspace) -> None:
        """Keep one, and the newest others."""
        with self._lock:
            self._kept = [*self._kept, (key, workspace)][-KEPT:]

    def clear(self) -> None:
        """Keep none."""
        with self._lock:
            self._kept = []


_waiting = _Waiting()
