"""All sessions of a spool as one SQLite table, for questions about many of them.

The folders are what counts: the table says the same faster, follows every record that is written, and is made anew from the
folders when the server starts. So a table that cannot be written or was damaged loses nothing, and stops no scan.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from threading import Lock
from typing import Any

from knerve.server.log_lines import told
from knerve.server.session_record import UNFINISHED, SessionRecord
from knerve.server.spool import SessionFolder, Spool

log = logging.getLogger(__name__)

FILE_NAME = "index.sqlite"
_TABLE = """
CREATE TABLE IF NOT EXISTS sessions (
    session TEXT PRIMARY KEY,       -- the folder's name; begins with the time, so names sort by age
    state TEXT NOT NULL,            -- receiving, reconstructing, done, incomplete, failed
    started TEXT NOT NULL,          -- UTC, ISO 8601
    ended TEXT NOT NULL,            -- likewise; empty as long as the session has not ended
    measurement_id TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    n_readouts INTEGER NOT NULL,
    n_images INTEGER NOT NULL,
    n_bytes INTEGER NOT NULL        -- of the folder, once the session has ended
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class IndexedSession:
    """One row, the columns in their order."""

    session: str
    state: str
    started: str
    ended: str
    measurement_id: str
    pipeline: str
    n_readouts: int
    n_images: int
    n_bytes: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be done for it."""
        return self.state not in UNFINISHED


_COLUMNS = ", ".join(field.name for field in fields(IndexedSession))
_PLACES = ", ".join("?" for _ in fields(IndexedSession))


class SessionIndex:
    """The table of one spool; it follows the spool's records from now on."""

    def __init__(self, spool: Spool) -> None:
        """Open the table and make it say what the folders say; one that was damaged is made anew.

        Where the disk has no room for it, it is kept in memory.
        """
        self._lock = Lock()
        try:
            self._open(spool, spool.path / FILE_NAME)
        except sqlite3.OperationalError as error:
            log.warning("the index of the spool is kept in memory: %s", error, extra=told("index in memory"))
            self._open(spool, ":memory:")
        except sqlite3.DatabaseError as error:
            log.warning("the index of the spool is made anew: %s", error, extra=told("index made anew"))
            for path in spool.path.glob(f"{FILE_NAME}*"):
                path.unlink(missing_ok=True)
            self._open(spool, spool.path / FILE_NAME)
        spool.observers.after.append(self.follow)

    def follow(self, folder: SessionFolder, record: SessionRecord | None) -> None:
        """Take over what was written of a session; None forgets it."""
        if record is None:
            self._change("DELETE FROM sessions WHERE session = ?", [(folder.name,)])
        else:
            self._put([_row(folder, record)])

    def rows(self) -> list[IndexedSession]:
        """All sessions, the oldest first."""
        return [IndexedSession(*row) for row in self._ask(f"SELECT {_COLUMNS} FROM sessions ORDER BY session")]

    def n_bytes(self) -> int:
        """What sessions that have ended take of the disk."""
        return int(next(self._ask("SELECT coalesce(sum(n_bytes), 0) FROM sessions"), (0,))[0])

    def by_state(self) -> dict[str, float]:
        """How many sessions there are in each state."""
        return dict(self._ask("SELECT state, count(*) FROM sessions GROUP BY state ORDER BY state"))

    def close(self) -> None:
        """Follow no more."""
        with self._lock:
            self._connection.close()

    def _open(self, spool: Spool, where: Path | str) -> None:
        self._connection = sqlite3.connect(where, check_same_thread=False, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")  # no fsync while a scan waits
            self._connection.execute(_TABLE)
            found = self._connection.execute(f"SELECT {_COLUMNS} FROM sessions").fetchall()
            known = {row.session: row for row in (IndexedSession(*values) for values in found)}
            folders = spool.sessions()
            for name in known.keys() - {folder.name for folder in folders}:
                self._connection.execute("DELETE FROM sessions WHERE session = ?", (name,))
            fresh = [folder for folder in folders if folder.name not in known or not known[folder.name].has_ended]
            self._put(_row(folder, folder.read() or SessionRecord("receiving", "")) for folder in fresh)
        except sqlite3.Error:
            self._connection.close()
            raise

    def _put(self, rows: Iterable[IndexedSession]) -> None:
        self._change(f"INSERT OR REPLACE INTO sessions ({_COLUMNS}) VALUES ({_PLACES})", map(astuple, rows))

    def _change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        try:
            with self._lock:
                self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            log.warning("the index of the spool was not written: %s", error, extra=told("index not written"))

    def _ask(self, question: str) -> Iterator[tuple[Any, ...]]:
        try:
            with self._lock:
                return iter(self._connection.execute(question).fetchall())
        except sqlite3.Error as error:
            log.warning("the index of the spool cannot be read: %s", error, extra=told("index not read"))
            return iter(())


def _row(folder: SessionFolder, record: SessionRecord) -> IndexedSession:
    has_ended = record.state not in UNFINISHED
    return IndexedSession(
        session=folder.name,
        state=record.state,
        started=record.started,
        ended=record.ended,
        measurement_id=record.measurement_id,
        pipeline=record.pipeline,
        n_readouts=record.n_readouts,
        n_images=record.n_images,
        n_bytes=folder.n_bytes() if has_ended else 0,
    )
