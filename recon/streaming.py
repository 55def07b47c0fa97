"""A scan reconstructed while it arrives: each slice is finished right after its own last readout.

    every readout        whiten, transform along kx, cut the oversampling, place, send   (the caller's thread; send: to a GPU)
    calibration lines    sensitivities of the slice                                      \
    last line            compress, solve, finish; the image goes to `deliver`             | threads, one core each
    nothing to solve     noise map of a delivered slice                                  /

With the method dl a slice is delivered twice: solved by compressed sensing, and, when nothing else is waited for, refined.

The stages are those of `pipeline.py`, and so is the result, but for the rounding of 32-bit numbers. Iterations are not started
before the last shot: they end at a change of `Settings.tolerance` noise standard deviations, so that where they began would
show in the image, and they would have to be done for all slices at the time when the first ones are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock

import torch
from torch import Tensor

from knerve.gpu.arriving_lines import ArrivingLines
from knerve.gpu.devices import choose_device
from knerve.recon.errors import SettingsError
from knerve.recon.noise import Whitening
from knerve.recon.pipeline import check_recon_grid, told_when_memory_runs_out
from knerve.recon.settings import Method, Settings
from knerve.recon.solution import Solution
from knerve.recon.stages import Stopwatch
from knerve.recon.stream_errors import NotStreamableError, SpoiltSlicesError
from knerve.recon.stream_lines import SharedLines, are_sampled, shared_lines
from knerve.recon.stream_memory import ScanMemory
from knerve.recon.stream_outline import Outline
from knerve.recon.stream_pool import TaskPool
from knerve.recon.stream_refinement import refined
from knerve.recon.stream_rehearsal import rehearse
from knerve.recon.stream_room import can_be_sent_early, require_memory
from knerve.recon.stream_stages import ONE_LINE, Stages

_rehearsed: set[tuple[Outline, str]] = set()  # in this process


@dataclass(frozen=True)
class FinishedSlice:
    """One slice as `ImageSeries` holds it.

    Attributes:
        entry: index along the `slice` axis.
        image: (y, x).
        method: that made it.
        notes: for the user.
        noise_level: (y, x), or None.
        is_final: whether no better image of it will come.
        has_old_coils: whether it was made with the coil sensitivities of an earlier scan.
    """

    entry: int
    image: Tensor
    method: Method
    notes: tuple[str, ...] = ()
    noise_level: Tensor | None = None
    is_final: bool = True
    has_old_coils: bool = False


class StreamingReconstruction:
    """Takes readouts, delivers slices.

    Attributes:
        watch: seconds of each stage, added up over the threads.
        lines: which lines all slices sample, once one slice is complete.
    """

    def __init__(
        self,
        outline: Outline,
        whitening: Whitening,
        settings: Settings,
        deliver: Callable[[FinishedSlice], None],
        memory: ScanMemory | None = None,
    ) -> None:
        """Make ready for the first readout.

        Args:
            outline: of the scan.
            whitening: of the scan.
            settings: every choice.
            deliver: called with each finished slice, in the thread that made it; without its noise level, which comes later.
            memory: of earlier scans, which is told where a slice lies before its first readout; None for none.

        Raises:
            NotStreamableError: the scan does not fit into the memory.
            RawDataError: the image grid cannot be filled by any measurement.
            SettingsError: the settings do not fit this machine.
        """
        check_recon_grid(outline.scan(ONE_LINE))
        try:
            device = choose_device(settings.device)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        require_memory(outline)
        self.watch = Stopwatch()
        self.lines: SharedLines | None = None
        self._memory = memory
        self._stages = Stages(outline, whitening.matrix, settings, device, self.watch, keeps_coils=memory is not None)
        self._slices = [self._stages.new_slice() for _ in range(outline.n_slices)]
        if can_be_sent_early(outline, device):
            for one in self._slices:
                one.sent = ArrivingLines(len(whitening.matrix), outline.n_columns, device)
        self._noise: dict[int, tuple[Tensor | None, tuple[str, ...]]] = {}
        self._deliver = deliver
        self._lock = Lock()
        n_workers = settings.threads or torch.get_num_threads() if device.type == "cpu" else 1
        self._pool = TaskPool(n_workers)
        if (outline, settings.method) not in _rehearsed:
            _rehearsed.add((outline, settings.method))
            for _ in range(n_workers):
                self._pool.submit(self._rehearse)

    def add(self, entry: int, line: int, samples: Tensor) -> None:
        """Take a readout of slice `entry`: `samples (coil, kx)` over the whole width of the encoded matrix, at `line`.

        Raises:
            SpoiltSlicesError: the line came before, or the slice was complete.
            NotStreamableError: see `complete`.
        """
        target = self._slices[entry]
        if target.is_complete:
            raise SpoiltSlicesError(f"a readout came for slice entry {entry} after its last one")
        if target.counts[line]:
            raise SpoiltSlicesError(f"line {line} of slice entry {entry} came twice: lines are averaged")
        self._stages.put(target, line, samples)
        if self.lines is not None:
            self._calibrate_if_possible(entry, self.lines)
            if torch.equal(target.counts, self.lines.counts):
                self.complete(entry)

    def complete(self, entry: int) -> None:
        """Say that the last readout of a slice has come; saying it twice is saying it once.

        Raises:
            NotStreamableError: the slice has other lines than the first that was complete, or none that calibrate it.
        """
        target = self._slices[entry]
        if target.is_complete:
            return
        if self.lines is None:
            self.lines = shared_lines(target.counts, self._stages.outline, self._stages.settings)
            for other in range(len(self._slices)):
                if other != entry:
                    self._calibrate_if_possible(other, self.lines)
        elif not torch.equal(target.counts, self.lines.counts):
            raise NotStreamableError(f"slice entry {entry} has other lines than the slices before it")
        with self._lock:
            target.is_complete = True
            is_calibrated, has_begun = target.coils is not None, target.is_calibrating
            target.is_calibrating = True
        if is_calibrated:
            self._pool.submit(partial(self._solve, entry))
        elif not has_begun:
            self._pool.submit(partial(self._calibrate, entry))

    @property
    def n_unfinished(self) -> int:
        """Complete slices that are still being worked on."""
        return sum(one.is_complete and not one.is_finished for one in self._slices)

    def quick_slices(self) -> Iterator[FinishedSlice]:
        """Of each such slice the image that is made quickest: coils combined, nothing unfolded."""
        for entry, target in enumerate(self._slices):
            kspace, lines = target.kspace, self.lines
            if target.is_complete and not target.is_finished and lines is not None:
                yield FinishedSlice(
                    entry, self._stages.quick_image(kspace, lines)[0].cpu(), "zero-filled", is_final=False
                )

    def has_failed(self) -> bool:
        """Whether a slice could not be made; `finish` will say why."""
        return self._pool.has_failed()

    def finish(self) -> None:
        """Wait for all slices whose last readout has come, and for their noise levels.

        Raises:
            KnerveError: one could not be made.
        """
        self.wait()
        if self._memory is not None:
            self._memory.finish()

    def wait(self) -> None:
        """The same for a scan of which more may come.

        Raises:
            KnerveError: one could not be made.
        """
        self._pool.wait()

    def with_noise(self, finished: FinishedSlice) -> FinishedSlice:
        """A slice that was delivered, as it is after `finish`."""
        level, notes = self._noise[finished.entry]
        return replace(finished, noise_level=level, notes=finished.notes + notes)

    def close(self) -> None:
        """Stop, finished or not."""
        self._pool.close()

    def _calibrate_if_possible(self, entry: int, lines: SharedLines) -> None:
        target = self._slices[entry]
        if not target.is_calibrating and are_sampled(target.counts, lines.calibrating):
            target.is_calibrating = True
            self._pool.submit(partial(self._calibrate, entry))

    def _rehearse(self) -> None:
        with suppress(NotStreamableError):  # the scan itself will say so
            rehearse(self._stages)

    def _calibrate(self, entry: int) -> None:
        """Find the coils of a slice, and solve it if it has become complete meanwhile."""
        target, lines, memory = self._slices[entry], self.lines, self._memory
        assert lines is not None, "slices are calibrated when their lines are known"
        with told_when_memory_runs_out():
            coils, kept = self._stages.calibrate(target, lines, None if memory is None else memory.recall(entry))
        if memory is not None and kept is not None:
            memory.keep(entry, kept)
        with self._lock:
            target.coils = coils
            is_complete = target.is_complete
        if is_complete:
            self._solve(entry)

    def _solve(self, entry: int) -> None:
        """Make the image of a slice that is complete and calibrated."""
        target, lines = self._slices[entry], self.lines
        assert lines is not None, "slices are solved when their lines are known"
        assert target.coils is not None, "slices are solved when they are calibrated"
        coils, settings = target.coils, self._stages.settings
        with told_when_memory_runs_out():
            solution = self._stages.solve(target, coils, lines)
            image = solution.finished_image(self.watch)[0].cpu()
        target.is_finished = True
        target.release()
        method = solution.settings.method
        is_final = method == settings.method
        finished = FinishedSlice(entry, image, method, coils.notes, is_final=is_final, has_old_coils=coils.is_reused)
        self._deliver(finished)
        later = self._find_noise if is_final else self._refine
        self._pool.submit_patient(partial(later, finished, solution))

    def _refine(self, finished: FinishedSlice, first: Solution) -> None:
        """Make the better image of a slice that compressed sensing has solved."""
        with told_when_memory_runs_out():
            solution = refined(first, self._stages.settings, self.watch)
            image = solution.finished_image(self.watch)[0].cpu()
        self._deliver(replace(finished, image=image, method=solution.method, is_final=True))
        self._find_noise(finished, solution)

    def _find_noise(self, finished: FinishedSlice, solution: Solution) -> None:
        """Make the noise map of a slice that is solved."""
        with told_when_memory_runs_out():
            level, notes = solution.noise_level(self.watch)
        self._noise[finished.entry] = None if level is None else level[0].cpu(), notes
