"""Which DICOM files still have to reach which receivers, on disk: a restart on either side loses none and repeats none.

A session's files are entered before the session counts as done, each once a receiver. A file that was sent when the server
died before it could note so is sent again under the same identifier, which a receiver takes as the same file.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from knerve.server.dicom_peer import Peer
from knerve.server.errors import SpoolError
from knerve.server.log_lines import told
from knerve.server.session_record import SessionRecord
from knerve.server.spool import SessionFolder, Spool

log = logging.getLogger(__name__)

FILE_NAME = "deliveries.sqlite"
Fate = Literal["waiting", "sent", "refused"]
_TABLE = """
CREATE TABLE IF NOT EXISTS deliveries (
    session TEXT NOT NULL,
    file TEXT NOT NULL,             -- in the session's folder of DICOM files
    peer TEXT NOT NULL,             -- AE@HOST:PORT
    fate TEXT NOT NULL DEFAULT 'waiting',
    words TEXT NOT NULL DEFAULT '', -- why it was refused
    PRIMARY KEY (session, file, peer)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Delivery:
    """One file on its way to one receiver."""

    session: str
    file: str
    path: Path


class Deliveries:
    """The list of one spool; it follows the spool's sessions from now on.

    Attributes:
        wake: called when there is something to send.
    """

    def __init__(self, spool: Spool, peers: Sequence[Peer]) -> None:
        """Open the list; one that was damaged is made anew, and all that the spool holds is sent again.

        Raises:
            SpoolError: it cannot be opened.
        """
        self._spool, self._peers = spool, tuple(map(str, peers))
        self._path = spool.path / FILE_NAME
        self._lock = Lock()
        self.wake: list[Callable[[], None]] = []
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._make_anew(error)
        spool.observers.before_end.append(self._enter)
        spool.observers.after.append(self._follow)

    def waiting(self, peer: Peer) -> list[Delivery]:
        """What a receiver has not got, the oldest first."""
        question = "SELECT session, file FROM deliveries WHERE peer = ? AND fate = 'waiting' ORDER BY session, file"
        return [
            Delivery(session, file, self._file(session, file)) for session, file in self._do(question, (str(peer),))
        ]

    def note(self, delivery: Delivery, peer: Peer, fate: Fate, words: str = "") -> None:
        """What became of a delivery."""
        change = "UPDATE deliveries SET fate = ?, words = ? WHERE session = ? AND file = ? AND peer = ?"
        self._do(change, (fate, words, delivery.session, delivery.file, str(peer)))

    def is_waiting(self, session: str) -> bool:
        """Whether files of a session still have to reach one of the receivers that we know."""
        question = "SELECT DISTINCT peer FROM deliveries WHERE session = ? AND fate = 'waiting'"
        return any(peer in self._peers for (peer,) in self._do(question, (session,)))

    def count(self, fate: Fate) -> dict[str, float]:
        """How many files met this fate, for each receiver."""
        found = dict(self._do("SELECT peer, count(*) FROM deliveries WHERE fate = ? GROUP BY peer", (fate,)))
        return {peer: found.get(peer, 0) for peer in self._peers}

    def close(self) -> None:
        """Follow no more."""
        with self._lock:
            self._connection.close()

    def _enter(self, folder: SessionFolder, record: SessionRecord) -> None:
        if self._peers and record.state != "failed":
            self._add([folder])

    def _follow(self, folder: SessionFolder, record: SessionRecord | None) -> None:
        if record is None:
            self._do("DELETE FROM deliveries WHERE session = ?", (folder.name,))
        for wake in self.wake:
            wake()

    def _add(self, folders: Iterable[SessionFolder]) -> None:
        rows = [
            (folder.name, path.name, peer)
            for folder in folders
            for path in sorted(folder.dicom.glob("*.dcm"))
            for peer in self._peers
        ]
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "INSERT OR IGNORE INTO deliveries (session, file, peer) VALUES (?, ?, ?)", rows
                )
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(_TABLE)
            self._connection.execute("SELECT count(*) FROM deliveries").fetchone()
        except sqlite3.Error:
            self._connection.close()
            raise

    def _make_anew(self, error: sqlite3.DatabaseError) -> None:
        if isinstance(error, sqlite3.OperationalError):  # no room, no permission: not damaged
            raise self._failure(error) from error
        log.error("the list of deliveries is made anew, all images are sent again: %s", error, extra=told("resending"))
        for path in self._spool.path.glob(f"{FILE_NAME}*"):
            path.unlink()
        self._open()
        ended = [folder for folder in self._spool.sessions() if folder not in self._spool.unfinished()]
        self._add(folder for folder in ended if (record := folder.read()) is not None and record.state != "failed")

    def _do(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _file(self, session: str, file: str) -> Path:
        return SessionFolder(self._spool.path / session).dicom / file

    def _failure(self, error: sqlite3.Error) -> SpoolError:
        return SpoolError(
            f"The list of deliveries, {self._path.name} in the spool folder, cannot be used: {error}. Check it."
        )
