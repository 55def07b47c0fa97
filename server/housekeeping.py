"""What the spool may take of the disk: old sessions leave, and none begins that could not be kept.

Only sessions that have ended are ever removed, the oldest first, and none whose images still have to be delivered.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread

from knerve.recon.errors import KnerveError
from knerve.server.limits import MIB
from knerve.server.log_lines import Value, told
from knerve.server.metrics import Counter
from knerve.server.session_index import IndexedSession, SessionIndex
from knerve.server.session_record import UNFINISHED, SessionRecord
from knerve.server.spool import SessionFolder, Spool

log = logging.getLogger(__name__)

GIB = 1024 * MIB
SECONDS_BETWEEN_ROUNDS = 600.0


@dataclass(frozen=True)
class Keeping:
    """How much is kept, and for how long.

    Attributes:
        quota_bytes: what sessions may take together; 0: whatever there is.
        keep_days: how long a session is kept after its end; 0: as long as there is room.
        least_free_bytes: what must be left of the disk for a session to begin.
    """

    quota_bytes: int = 0
    keep_days: float = 0.0
    least_free_bytes: int = GIB


class Housekeeper:
    """Keeps a spool within its bounds, after each session and every few minutes.

    Attributes:
        removed: sessions that had to leave, by why.
    """

    def __init__(self, spool: Spool, index: SessionIndex, keeping: Keeping, is_held: Callable[[str], bool]) -> None:
        """Begin to watch; `is_held` says of a session whether it must stay although it has ended."""
        self._spool, self._index, self._is_held = spool, index, is_held
        self.keeping = keeping
        self.removed = Counter(
            "knerve_spool_removed_total", "Sessions removed from the spool.", "why", ("age", "quota")
        )
        self._one_at_a_time = Lock()
        self._is_due, self._is_closed = Event(), Event()
        spool.observers.after.append(self._follow)
        spool.refusal = self.refusal
        self._is_due.set()
        self._thread = Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def free_bytes(self) -> int:
        """What is left of the disk."""
        return shutil.disk_usage(self._spool.path).free

    def refusal(self) -> str:
        """Why no session can be kept now; nothing where one can."""
        quota, least = self.keeping.quota_bytes, self.keeping.least_free_bytes
        try:
            free = self.free_bytes()
        except OSError as error:
            return f"The disk of the spool folder cannot be used ({error.strerror}): no scan is taken. Check it."
        if free < least:
            return (
                f"The disk of the spool folder is full ({free / GIB:.2f} GiB are free, {least / GIB:.2f} GiB are needed): "
                "no scan is taken. Free space on it; --quota-gib and --keep-days let old sessions go by themselves."
            )
        if quota and self._index.n_bytes() > quota:
            self.tidy()
            if (held := self._index.n_bytes()) > quota:
                return (
                    f"Sessions that must be kept take {held / GIB:.2f} GiB, more than the quota of {quota / GIB:.2f} GiB: "
                    "no scan is taken. Raise --quota-gib, or see why images are not delivered."
                )
        return ""

    def tidy(self) -> None:
        """Remove what must leave."""
        with self._one_at_a_time:
            rows = [row for row in self._index.rows() if row.has_ended and not self._is_held(row.session)]
            n_bytes = self._index.n_bytes()
            too_old = expired(rows, self.keeping, datetime.now(UTC))
            self._remove(too_old, "age")
            n_bytes -= sum(row.n_bytes for row in too_old)
            left = [row for row in rows if row not in too_old]
            self._remove(superfluous(left, self.keeping, n_bytes), "quota")

    def close(self) -> None:
        """Watch no more."""
        self._is_closed.set()
        self._is_due.set()
        self._thread.join()

    def _remove(self, rows: Iterable[IndexedSession], why: str) -> None:
        for row in rows:
            SessionFolder(self._spool.path / row.session, observers=self._spool.observers).remove()
            self.removed.add(kind=why)
            facts: dict[str, Value] = {
                "session": row.session,
                "measurement": row.measurement_id,
                "why": why,
                "bytes": row.n_bytes,
            }
            log.info("%s: removed (%s)", row.session, why, extra=told("session removed", facts))

    def _follow(self, _: SessionFolder, record: SessionRecord | None) -> None:
        if record is not None and record.state not in UNFINISHED:
            self._is_due.set()

    def _run(self) -> None:
        while not self._is_closed.is_set():
            self._is_due.wait(SECONDS_BETWEEN_ROUNDS)
            self._is_due.clear()
            if self._is_closed.is_set():
                return
            try:
                self.tidy()
            except KnerveError as failure:
                log.warning("the spool was not tidied: %s", failure, extra=told("not tidied"))


def expired(rows: Sequence[IndexedSession], keeping: Keeping, now: datetime) -> list[IndexedSession]:
    """Those that ended too long ago; one whose end nobody knows stays."""
    if not keeping.keep_days:
        return []
    oldest = f"{now - timedelta(days=keeping.keep_days):%Y-%m-%dT%H:%M:%SZ}"
    return [row for row in rows if row.ended and row.ended < oldest]


def superfluous(rows: Sequence[IndexedSession], keeping: Keeping, n_bytes: int) -> list[IndexedSession]:
    """The oldest of `rows`, as many as must leave for `n_bytes` to shrink to the quota."""
    leaving: list[IndexedSession] = []
    excess = n_bytes - keeping.quota_bytes if keeping.quota_bytes else 0
    for row in rows:
        if excess <= 0:
            break
        leaving.append(row)
        excess -= row.n_bytes
    return leaving
