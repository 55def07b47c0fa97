"""MRD readouts on their way into a reconstruction: what is a slice, a line and noise is decided readout by readout.

The rules are those by which `knerve.datasets` reads whole files. What those decide by looking at all readouts together cannot be
streamed, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from knerve.datasets.frame_geometry import make_frames
from knerve.datasets.mrd_file import USUAL_NOISE_BANDWIDTH
from knerve.datasets.mrd_hdf5 import HEAD, Heads
from knerve.datasets.mrd_header import IMAGE_COUNTERS, MrdHeader, parse_header
from knerve.datasets.mrd_roles import LEFT_OUT, NOISE
from knerve.datasets.placement import Plan, Window, has_flag, plan_placement
from knerve.recon.images import ImageSeries
from knerve.recon.learned.notes import one_of_a_kind
from knerve.recon.noise import MIN_SAMPLES_PER_COIL, Whitening, estimate_whitening
from knerve.recon.scan import Noise
from knerve.recon.settings import Settings
from knerve.recon.stream_errors import NotStreamableError, SpoiltSlicesError
from knerve.recon.stream_memory import CoilMemory, ScanMemory
from knerve.recon.stream_outline import Outline
from knerve.recon.streaming import FinishedSlice, StreamingReconstruction
from knerve.server.messages import Acquisition
from knerve.server.same_place import identity_of_patient, where_it_lies

FIRST_IN_SLICE, LAST_IN_SLICE, LAST_IN_REPETITION, LAST_IN_MEASUREMENT = 7, 8, 14, 25
ALL_LEFT_OUT = tuple(flag for flags in LEFT_OUT.values() for flag in flags)
ONE_READOUT = np.zeros(1, np.int64)


class ArrivingScan:
    """Takes readouts in the order of time, and delivers slices.

    Attributes:
        n_readouts: taken, noise included.
    """

    def __init__(
        self,
        xml: bytes,
        settings: Settings,
        deliver: Callable[[FinishedSlice], None],
        memory: CoilMemory | None = None,
    ) -> None:
        """Begin with the header.

        Args:
            xml: the header.
            settings: every choice.
            deliver: see `StreamingReconstruction`.
            memory: of the scans before; None to know nothing of them.

        Raises:
            NotStreamableError: the scan is of a kind that must be there as a whole.
            RawDataError: the header cannot be read.
        """
        self._header = parse_header(xml)
        self._settings, self._deliver, self._memory = settings, deliver, memory
        self._known: ScanMemory | None = None
        self._encoding = self._header.encodings[0]
        self._counters = _announced_counters(self._header)
        self._noise: list[Acquisition] = []
        self._left_out = 0
        self._first_heads: dict[int, Heads] = {}
        self._begun: set[int] = set()  # slices whose first readout said so
        self._ended: set[int] = set()
        self._window: Window | None = None
        self._whitening: Whitening | None = None
        self._stream: StreamingReconstruction | None = None
        self._sample_time_us = 0.0
        self._notes: dict[str, None] = dict.fromkeys(self._header.notes)
        self.n_readouts = 0

    def take(self, readout: Acquisition) -> None:
        """Take one readout.

        Raises:
            SpoiltSlicesError: it shows that slices were delivered too early, or as the wrong ones.
            NotStreamableError: it does not fit what was assumed.
            RawDataError: it does not fit into k-space.
        """
        self.n_readouts += 1
        head = _as_read_from_files(readout.head)
        if has_flag(head, NOISE)[0]:
            if self._stream is not None:
                raise NotStreamableError("noise readouts come behind imaging readouts")
            self._noise.append(readout)
        elif has_flag(head, *ALL_LEFT_OUT)[0]:
            self._left_out += 1
        else:
            self._take_image_data(head, readout.samples)

    @property
    def shortfall(self) -> str:
        """Label of a scan that ended before its last readouts; nothing for one that is whole, as far as is known."""
        lines = None if self._stream is None else self._stream.lines
        if lines is None:
            return f"INCOMPLETE ({self.n_readouts} readouts)" if self._begun - self._ended else ""
        n_images = self.n_announced
        n_expected = len(self._noise) + self._left_out + n_images * int(lines.counts.sum())
        some = f"INCOMPLETE ({self.n_readouts} of {n_expected} readouts)"
        return some if self.n_readouts < n_expected else ""

    def end(self) -> None:
        """Say that no readout comes any more, and wait for the last slice.

        Raises:
            NotStreamableError: slices lack readouts.
        """
        if self._stream is None:
            raise NotStreamableError("there are no imaging readouts")
        lacking = self.n_announced - len(self._first_heads)
        if lacking or self._begun - self._ended:
            self._stream.wait()  # slices that are whole go out as such
        if lacking:
            raise NotStreamableError(f"{lacking} of the announced images have no readouts")
        if self._begun - self._ended:
            raise NotStreamableError("it ended before the last readouts")
        self._complete(self._first_heads)
        self._stream.finish()

    @property
    def n_announced(self) -> int:
        """Images that the header announces."""
        return int(np.prod(self._counters))

    @property
    def n_unfinished(self) -> int:
        """Complete slices that are still being worked on."""
        return 0 if self._stream is None else self._stream.n_unfinished

    def quick_slices(self) -> Iterator[FinishedSlice]:
        """Of each such slice the image that is made quickest."""
        return iter(()) if self._stream is None else self._stream.quick_slices()

    def close(self) -> None:
        """Stop, finished or not."""
        if self._stream is not None:
            self._stream.close()

    def has_failed(self) -> bool:
        """Whether a slice could not be made; `end` will say why."""
        return self._stream is not None and self._stream.has_failed()

    def with_noise(self, finished: FinishedSlice) -> FinishedSlice:
        """A slice that was delivered, as it is after `end`."""
        assert self._stream is not None, "slices are finished after they were begun"
        return self._stream.with_noise(finished)

    def series(self, finished: Sequence[FinishedSlice]) -> ImageSeries:
        """Slices, in ascending order, as a series."""
        assert self._stream is not None, "slices are finished after they were begun"
        assert self._stream.lines is not None, "slices are finished after their lines are known"
        assert self._whitening is not None, "slices are finished after they were whitened"
        frames, frame_notes = make_frames(
            np.concatenate([self._first_heads[one.entry] for one in finished]), self._encoding
        )
        if len(finished) < self.n_announced:
            frame_notes = ()  # of what is missing, which is only not finished yet
        notes = [*self._notes, *frame_notes, *self._stream.lines.notes]
        if self._left_out:
            notes.append(f"Readouts left out by their flags: {self._left_out}.")
        method = (
            self._settings.method if self._settings.method in {one.method for one in finished} else finished[0].method
        )
        levels = [one.noise_level for one in finished if one.noise_level is not None]
        return ImageSeries(
            image=torch.stack([one.image for one in finished]),
            noise_level=torch.stack(levels) if levels else None,
            frames=frames,
            grid=self._encoding.grid,
            header=replace(self._header.scan_header, sample_time_us=self._sample_time_us),
            method=method,
            settings=replace(self._settings, method=method).as_dict() | _about_coils(finished),
            noise=self._whitening.report,
            acceleration=self._stream.lines.acceleration,
            seconds=dict(self._stream.watch.seconds),
            notes=one_of_a_kind([*notes, *(note for one in finished for note in one.notes)]),
        )

    def _take_image_data(self, head: Heads, samples: NDArray[np.complex64]) -> None:
        _require_usual(head)
        plan = plan_placement(head, ONE_READOUT, self._encoding, is_3d=False)
        self._notes.update(dict.fromkeys(plan.notes))
        stream = self._stream or self._begin(head, plan)
        if plan.windows[0] != self._window or head["sample_time_us"][0] != self._sample_time_us:
            raise NotStreamableError("readouts fill different columns of k-space, or differ in dwell time")
        if not np.isfinite(samples).all():
            raise NotStreamableError("a readout holds NaN or infinite samples")
        entry = self._entry(head)
        if entry not in self._first_heads:
            self._first_heads[entry] = head
            if self._known is not None:
                self._known.lies_at(entry, where_it_lies(head))
        stream.add(entry, int(plan.rows[0]), torch.from_numpy(self._on_grid(samples, plan.windows[0])))
        if has_flag(head, FIRST_IN_SLICE)[0]:
            self._begun.add(entry)
        if has_flag(head, LAST_IN_MEASUREMENT)[0]:
            self._complete(self._first_heads)
        elif has_flag(head, LAST_IN_REPETITION)[0]:
            same = (one for one, first in self._first_heads.items() if first["repetition"] == head["repetition"])
            self._complete(same)
        elif has_flag(head, LAST_IN_SLICE)[0]:
            self._complete((entry,))

    def _complete(self, entries: Iterable[int]) -> None:
        assert self._stream is not None, "what is complete has begun"
        for entry in list(entries):
            self._stream.complete(entry)
            self._ended.add(entry)

    def _begin(self, head: Heads, plan: Plan) -> StreamingReconstruction:
        """Make ready for imaging readouts like this first one."""
        self._sample_time_us = float(head["sample_time_us"][0])
        self._window = plan.windows[0]
        outline = Outline(self.n_announced, int(head["active_channels"][0]), self._encoding.grid, plan.sampled_kx)
        self._whitening, notes = self._estimate_whitening(outline)
        self._notes.update(dict.fromkeys(notes))
        patient = identity_of_patient(self._header.scan_header)
        if self._memory is not None and patient is not None:
            kind = (outline, self._settings, self._counters, self._sample_time_us)
            self._known = self._memory.begin(patient, kind)
        self._stream = StreamingReconstruction(outline, self._whitening, self._settings, self._deliver, self._known)
        return self._stream

    def _estimate_whitening(self, outline: Outline) -> tuple[Whitening, tuple[str, ...]]:
        if any(readout.samples.shape[0] != outline.n_coils for readout in self._noise):
            raise NotStreamableError("noise and imaging readouts differ in their channels")
        times = {float(readout.head["sample_time_us"]) for readout in self._noise}
        if len(times) != 1 or min(*times, self._sample_time_us) <= 0:
            raise NotStreamableError("noise readouts of one dwell time do not come first")
        kept = [
            readout.samples[:, readout.head["discard_pre"] : readout.samples.shape[1] - readout.head["discard_post"]]
            for readout in self._noise
        ]
        samples = torch.from_numpy(np.concatenate(kept, axis=1))
        bandwidth = self._header.relative_noise_bandwidth
        if bandwidth is None:
            bandwidth = USUAL_NOISE_BANDWIDTH
            self._notes[f"The header gives no relativeReceiverNoiseBandwidth; the usual {bandwidth} was taken."] = None
        if samples.shape[1] < MIN_SAMPLES_PER_COIL * outline.n_coils or not bool(samples.abs().max() > 0):
            raise NotStreamableError("there are too few noise samples")
        noise = Noise(samples, times.pop() / self._sample_time_us / bandwidth)
        return estimate_whitening(replace(outline.scan(torch.ones(1, 1, dtype=torch.int32)), noise=noise))

    def _entry(self, head: Heads) -> int:
        counters = [int(head[name][0]) for name in IMAGE_COUNTERS]
        for name, counter, n_announced in zip(IMAGE_COUNTERS, counters, self._counters, strict=True):
            if counter >= n_announced:
                raise SpoiltSlicesError(f"{name} {counter} came, but the header announces {n_announced}")
        return int(np.ravel_multi_index(counters, self._counters))

    def _on_grid(self, samples: NDArray[np.complex64], window: Window) -> NDArray[np.complex64]:
        """The samples (coil, kx) over the whole width of the encoded matrix."""
        grid = np.zeros((len(samples), self._encoding.grid.encoded_matrix[0]), np.complex64)
        kept = samples[:, window.first : window.last]
        grid[:, window.column : window.end] = kept[:, ::-1] if window.reverse else kept
        return grid


def _about_coils(finished: Sequence[FinishedSlice]) -> dict[str, str]:
    """What stands among the settings of slices of which some were made with the coils of an earlier scan."""
    n_old = sum(one.has_old_coils for one in finished)
    if not n_old:
        return {}
    some = "" if n_old == len(finished) else f" in {n_old} of {len(finished)} slices"
    return {"coil_sensitivities": f"of the previous scan{some}"}


def _announced_counters(header: MrdHeader) -> tuple[int, ...]:
    """How many of each of `IMAGE_COUNTERS` the header announces."""
    encoding = header.encodings[0]
    if len(header.encodings) > 1 or encoding.is_calibration:
        raise NotStreamableError("it has separate calibration lines, or several encoding spaces")
    if encoding.trajectory != "cartesian" or encoding.grid.encoded_matrix[2] > 1:
        raise NotStreamableError("it is not a Cartesian 2-D scan")
    if "slice" not in encoding.announced:
        raise NotStreamableError("the header does not say how many slices come")
    return tuple(max(1, encoding.announced.get(name, 1)) for name in IMAGE_COUNTERS)


def _require_usual(head: Heads) -> None:
    if head["encoding_space_ref"][0] != 0:
        raise NotStreamableError("readouts name an encoding space that the header does not have")
    if head["average"][0] > 0:
        raise SpoiltSlicesError("it is averaged")


def _as_read_from_files(head: np.void) -> Heads:
    """A head as `knerve.datasets` reads it, (1,) of dtype `HEAD`."""
    read = np.zeros(1, HEAD)
    counters = head["idx"]
    for name in HEAD.names or ():
        read[name] = counters[name] if name in (counters.dtype.names or ()) else head[name]
    return read
