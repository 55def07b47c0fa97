"""What sessions report while they run, for whoever looks on: the newest scans and their images, in bounded memory.

A session reports to its `Notice` and never waits: a report counts, or keeps a reference to bytes that exist anyway. Readers take
snapshots. Where memory runs short older scans leave first; then new images of the scan are not kept here, but go out as ever.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Lock

import numpy as np

from knerve.datasets.mrd_header import MrdHeader
from knerve.server.framing import Frame, flag_is_set
from knerve.server.limits import MIB
from knerve.server.messages import Image, Text
from knerve.server.picture import Picture, Place
from knerve.server.progress import Progress
from knerve.server.scan_outline import Outline
from knerve.server.session_record import State
from knerve.server.wire import decode

MOST_BYTES = 512 * MIB
MOST_SCANS = 6
SCANS_OF_A_PROTOCOL = 2  # the newest, and the one before it to compare with
WORDS_KEPT, LONGEST_WORDS = 8, 300
NOBODY_LOOKS = 0  # bytes of pixels worth keeping then
CALIBRATION_FLAGS = (20, 21)


@dataclass(frozen=True)
class ScanNews:
    """A scan as it stands at one moment; seconds count from its first readout.

    Attributes:
        number: of the scan, since the server started.
        outline: what its header says.
        state: how far it got; "receiving" or "reconstructing" of one that has ended says that it was not finished.
        began: Unix time of the first readout.
        age_s: seconds since then.
        n_readouts: so far.
        progress: (seconds, readouts) now and then.
        calibrated_s: when the last calibration line so far came; None before the first.
        received_s: when the last message of the scan came; None before.
        ended_s: when the session ended; None before.
        n_unshown: images for which there was no memory here.
        words: the last that the client was told.
        pictures: the newest image of each place.
    """

    number: int
    outline: Outline
    state: State
    began: float
    age_s: float
    n_readouts: int
    progress: tuple[tuple[float, int], ...]
    calibrated_s: float | None
    received_s: float | None
    ended_s: float | None
    n_unshown: int
    words: tuple[str, ...]
    pictures: tuple[Picture, ...]


class Bulletin:
    """The newest scans of a server.

    Attributes:
        version: changes with every report.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """At most so many bytes of pixels are kept; with 0 nothing is."""
        self.version = 0
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._notices: list[Notice] = []
        self._scan_numbers, self._picture_numbers = count(1), count(1)

    def notice(self) -> Notice:
        """What one session reports to; onlookers see the scan from its first readout on."""
        return Notice(self)

    def scans(self) -> tuple[ScanNews, ...]:
        """The newest scans, the newest first."""
        with self._lock:
            return tuple(notice.news() for notice in reversed(self._notices))

    def picture(self, number: int) -> Picture | None:
        """One image; None where it is not kept any more."""
        with self._lock:
            shown = (picture for notice in self._notices for picture in notice.pictures.values())
            return next((picture for picture in shown if picture.number == number), None)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Let nobody look on while a notice changes."""
        with self._lock:
            yield
            self.version += 1

    def show(self, notice: Notice) -> int:
        """List a scan, for which older ones leave; returns its number."""
        if self._most_bytes:
            alike = [one for one in self._notices if one.outline.protocol == notice.outline.protocol]
            too_old = alike[: max(0, len(alike) - SCANS_OF_A_PROTOCOL + 1)]
            self._notices = [*(one for one in self._notices if one not in too_old), notice][-MOST_SCANS:]
        return next(self._scan_numbers)

    def picture_number(self) -> int:
        """A number that no other picture has."""
        return next(self._picture_numbers)

    def has_room(self, notice: Notice, n_bytes: int) -> bool:
        """Whether so much more of a scan can be kept; older scans leave for it."""
        if notice not in self._notices:
            return False
        while self._n_bytes() + n_bytes > self._most_bytes and self._notices[0] is not notice:
            self._notices.pop(0)
        return self._n_bytes() + n_bytes <= self._most_bytes

    def _n_bytes(self) -> int:
        return sum(notice.n_bytes for notice in self._notices)


class Notice:
    """One session's scan, changed by the session only.

    Attributes:
        outline: what the header says.
        pictures: the newest of each place.
        n_bytes: of their pixels.
    """

    def __init__(self, bulletin: Bulletin) -> None:
        self.outline = Outline()
        self.pictures: dict[Place, Picture] = {}
        self.n_bytes = 0
        self._bulletin = bulletin
        self._number, self._n_readouts, self._n_unshown = 0, 0, 0
        self._began, self._began_clock = 0.0, 0.0
        self._state: State = "receiving"
        self._progress = Progress()
        self._words: deque[str] = deque(maxlen=WORDS_KEPT)
        self._calibrated_s: float | None = None
        self._received_s: float | None = None
        self._ended_s: float | None = None

    def header(self, header: MrdHeader) -> None:
        """The scan's header came."""
        self.outline = Outline.of(header)

    def readout(self, head: np.void) -> None:
        """A readout came."""
        with self._bulletin.reporting():
            if not self._n_readouts:
                self._began, self._began_clock = time.time(), time.monotonic()
                self._number = self._bulletin.show(self)
            self._n_readouts += 1
            seconds = self._seconds()
            self._progress.add(seconds, self._n_readouts)
            if any(flag_is_set(head, flag) for flag in CALIBRATION_FLAGS):
                self._calibrated_s = seconds

    def said(self, words: str) -> None:
        """The client is told something."""
        with self._bulletin.reporting():
            self._words.append(words[:LONGEST_WORDS])

    def answer(self, frame: Frame) -> None:
        """A message of the reconstruction goes to the client."""
        match decode(frame):
            case Text(words):
                self.said(words)
            case Image() as image:
                self._show(image)

    def received(self) -> None:
        """Nothing more comes of the scan."""
        with self._bulletin.reporting():
            self._received_s = self._seconds()
            self._state = "reconstructing"

    def ended(self, state: State) -> None:
        """The session is over."""
        with self._bulletin.reporting():
            self._ended_s = self._seconds()
            self._state = state

    def news(self) -> ScanNews:
        """As it stands now; asked for by the bulletin."""
        return ScanNews(
            number=self._number,
            outline=self.outline,
            state=self._state,
            began=self._began,
            age_s=self._seconds(),
            n_readouts=self._n_readouts,
            progress=tuple(self._progress.points),
            calibrated_s=self._calibrated_s,
            received_s=self._received_s,
            ended_s=self._ended_s,
            n_unshown=self._n_unshown,
            words=tuple(self._words),
            pictures=tuple(self.pictures.values()),
        )

    def _show(self, image: Image) -> None:
        with self._bulletin.reporting():
            picture = Picture(self._bulletin.picture_number(), image, self._seconds())
            before = self.pictures.pop(picture.place, None)
            self.n_bytes -= before.n_bytes if before else 0
            if self._bulletin.has_room(self, picture.n_bytes):
                self.pictures[picture.place] = picture
                self.n_bytes += picture.n_bytes
            else:
                self._n_unshown += 1

    def _seconds(self) -> float:
        return time.monotonic() - self._began_clock if self._n_readouts else 0.0
