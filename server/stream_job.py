"""A scan reconstructed by a worker while the server still receives and journals it.

The journal is the queue between the two: the server never waits for this process, and rings a bell (a byte on stdin) when there
is more. What cannot be streamed is said, and reconstructed as a whole when all is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread

from knerve.datasets.wording import counted
from knerve.recon.errors import KnerveError, OutOfMemoryError
from knerve.recon.images import RESEARCH_USE
from knerve.recon.stream_errors import SpoiltSlicesError
from knerve.recon.stream_memory import CoilMemory
from knerve.recon.streaming import FinishedSlice
from knerve.server.framing import Frame
from knerve.server.job import ALL, NO_MORE, PREVIEW_SERIES, Job
from knerve.server.messages import Acquisition, Header, Message
from knerve.server.pipelines import PIPELINES
from knerve.server.session_dicom import keep_dicom
from knerve.server.spoken import info, warning
from knerve.server.spool import SessionFolder
from knerve.server.stream_images import SliceMessages, fallback, final_series, keep_images, numbered, of_series
from knerve.server.stream_journal import JournalTail
from knerve.server.stream_scan import ArrivingScan
from knerve.server.wire import decode

Send = Callable[[Message], None]
QUICK_IMAGE_S = 0.25  # that a quick image may take while all cores are busy
LOOK_S = 0.02  # between two looks at the clock


class LiveScan:
    """One session's scan, and its images as they become finished.

    Attributes:
        sent: `image_index` of the images that went out and are as good as they become.
    """

    def __init__(self, job: Job, folder: SessionFolder, send: Send, memory: CoilMemory | None) -> None:
        self._settings = PIPELINES[job.pipeline]
        self._folder, self._send, self._memory = folder, send, memory
        self._messages, self._preview_messages = SliceMessages(folder.path), SliceMessages(folder.path, "preview")
        self._scan: ArrivingScan | None = None
        self._finished: list[FinishedSlice] = []
        self._previews: list[FinishedSlice] = []
        self._lock = Lock()
        self._budget_s, self._last_readout = job.budget_s, 0.0
        self.sent: tuple[int, ...] = ()

    def take(self, frame: Frame) -> None:
        """Take a message of the session; those that are no readouts only matter where they are the header.

        Raises:
            KnerveError: the scan cannot be streamed.
        """
        match decode(frame):
            case Header(xml):
                self._scan = ArrivingScan(xml, self._settings, self._deliver, self._memory)
            case Acquisition() as readout if self._scan is not None:
                self._last_readout = time.monotonic()
                self._scan.take(readout)
                if self._scan.has_failed():
                    self._scan.end()
            case _:
                pass

    @property
    def shortfall(self) -> str:
        """Label of a scan that ended before its last readouts; nothing for one that is whole, as far as is known."""
        return "" if self._scan is None else self._scan.shortfall

    def end(self) -> None:
        """All readouts have come: wait for the last image, and keep all of them.

        Raises:
            KnerveError: the scan cannot be streamed, or images cannot be written.
        """
        if self._scan is None:
            return
        with self._within_budget(self._scan):
            self._scan.end()
        self._send(info(f"{counted(len(self._finished), 'image')} made; they are being written."))
        series = self._scan.series([self._scan.with_noise(one) for one in _in_order(self._finished)])
        previews = self._scan.series(_in_order(self._previews)) if self._previews else None
        for note in series.notes:
            self._send(warning(note) if note.startswith("Warning:") else info(note))
        keep_images(series, self._folder)
        keep_dicom(numbered(series), self._folder, previews)

    def close(self) -> None:
        """Stop, finished or not."""
        if self._scan is not None:
            self._scan.close()

    @contextmanager
    def _within_budget(self, scan: ArrivingScan) -> Iterator[None]:
        """Send quick images of what is not finished when the time that is left is only enough for those."""
        is_over = Event()
        watch = Thread(target=self._watch_budget, args=(scan, is_over), name="budget", daemon=True)
        if self._budget_s is not None:
            watch.start()
        try:
            yield
        finally:
            is_over.set()
            if self._budget_s is not None:
                watch.join()

    def _watch_budget(self, scan: ArrivingScan, is_over: Event) -> None:
        assert self._budget_s is not None, "a budget is watched where there is one"
        deadline = self._last_readout + self._budget_s
        while time.monotonic() + QUICK_IMAGE_S * scan.n_unfinished < deadline:
            if is_over.wait(LOOK_S):
                return
        quick = scan.quick_slices()
        messages = SliceMessages(self._folder.path, "quick")
        for one in quick:
            image = messages.message(fallback(scan.series([one])), one.entry)
            if is_over.is_set():
                return
            self._send(of_series(image, PREVIEW_SERIES))

    def _deliver(self, finished: FinishedSlice) -> None:
        with self._lock:
            assert self._scan is not None, "who delivers has begun"
            if not (self._finished or self._previews):
                self._send(info(RESEARCH_USE))
            series = self._scan.series([finished])
            if finished.is_final:
                self._finished.append(finished)
                image, number = self._messages.message(series, finished.entry), final_series(self._settings.method)
                self._send(of_series(image, number))
                self.sent = (*self.sent, finished.entry + 1)
            else:
                self._previews.append(finished)
                self._send(of_series(self._preview_messages.message(series, finished.entry), PREVIEW_SERIES))


def _in_order(finished: list[FinishedSlice]) -> list[FinishedSlice]:
    return sorted(finished, key=lambda one: one.entry)


def read_along(job: Job, bells: Callable[[], bytes], send: Send, memory: CoilMemory | None = None) -> tuple[Job, str]:
    """Reconstruct a session while it is received.

    Args:
        job: the session.
        bells: waits for the next bells, one or several; nothing where there will be none.
        send: takes messages, from several threads.
        memory: of the scans before, for jobs that may reuse what those knew.

    Returns:
        What is left to be done when the scan has ended, and a label where it is known to lack readouts.

    Raises:
        OutOfMemoryError: this process had better end.
    """
    folder = SessionFolder(Path(job.folder))
    scan, ring = LiveScan(job, folder, send, memory if job.reuses_coils else None), _Bells(bells)
    later = replace(job, reads_along=False)
    try:
        with JournalTail(folder.journal) as journal:
            for _ in ring:
                for frame in journal.new_frames():
                    scan.take(frame)
        if not ring.was_broken_off:
            scan.end()
        return replace(later, wants_images=False), ""
    except OutOfMemoryError:  # another process, which begins with nothing, tries once more
        raise
    except SpoiltSlicesError as why:
        send(warning(f"The images sent so far were made too early, and are sent again: {why}."))
        scan.close()  # what is being made goes out before
        scan.sent = ()
    except KnerveError as why:
        send(info(f"Reconstructed when the whole scan is there: {why}."))
    finally:
        scan.close()
    for _ in ring:
        pass
    return replace(later, sent=scan.sent, wants_images=not ring.was_broken_off), scan.shortfall


class _Bells:
    """Rings until the scan has ended."""

    def __init__(self, bells: Callable[[], bytes]) -> None:
        self._bells = bells
        self._has_ended = self.was_broken_off = False

    def __iter__(self) -> Iterator[None]:
        while not self._has_ended:
            rung = self._bells()
            self.was_broken_off = NO_MORE in rung or not rung
            self._has_ended = self.was_broken_off or ALL in rung
            yield
