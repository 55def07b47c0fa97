"""The folder in which sessions are kept, one folder each.

    stream.journal   every message as it came (journal.py)
    raw.h5           the readouts as an ISMRMRD file, once the session has ended
    images.h5        the images, once they were made
    session.json     how far the session got

A session that a killed server left open is finished when the next one starts (recovery.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from knerve.server.errors import SpoolError

State = Literal["receiving", "reconstructing", "done", "incomplete", "failed"]
UNFINISHED: tuple[State, ...] = ("receiving", "reconstructing")


@dataclass(frozen=True)
class SessionRecord:
    """How far a session got.

    Attributes:
        state: "incomplete" ended without CLOSE, "failed" ended without the images it asked for.
        started: UTC, ISO 8601.
        pipeline: what was to be done with the data.
        measurement_id: of the header.
        n_readouts: received.
        words: the last that the client was told.
    """

    state: State
    started: str
    pipeline: str = "default"
    measurement_id: str = ""
    n_readouts: int = 0
    words: str = ""


@dataclass(frozen=True)
class SessionFolder:
    """Where one session is kept."""

    path: Path

    @property
    def journal(self) -> Path:
        """Every message as it came."""
        return self.path / "stream.journal"

    @property
    def raw(self) -> Path:
        """The readouts as an ISMRMRD file."""
        return self.path / "raw.h5"

    @property
    def images(self) -> Path:
        """The images as an ISMRMRD file."""
        return self.path / "images.h5"

    def write(self, record: SessionRecord) -> None:
        """Note how far the session got; the note before stands until this one is complete.

        Raises:
            SpoolError: it cannot be written.
        """
        aside = self.path / f".session.{secrets.token_hex(4)}.part"
        try:
            with aside.open("x", encoding="utf-8") as file:
                json.dump(asdict(record), file, indent=2)
                file.flush()
                if record.state not in UNFINISHED:  # one that is lost reads as unfinished all the same
                    os.fsync(file.fileno())
            aside.replace(self.path / "session.json")
        except OSError as error:
            raise SpoolError(f"The state of the session cannot be kept: {error}. Check the spool folder.") from error

    def read(self) -> SessionRecord | None:
        """How far the session got; None where nobody knows."""
        try:
            found = json.loads((self.path / "session.json").read_bytes())
            record = SessionRecord(**{field.name: found[field.name] for field in fields(SessionRecord)})
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if record.state in get_args(State) else None

    def remove(self) -> None:
        """Forget a session in which no data came."""
        shutil.rmtree(self.path, ignore_errors=True)


class Spool:
    """The folder of all sessions; one server at a time."""

    def __init__(self, path: Path) -> None:
        """Make the folder if need be, and take it.

        Raises:
            SpoolError: it cannot be made, or another server uses it.
        """
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
        except OSError as error:
            raise SpoolError(
                f"The spool folder {path} cannot be used: {error}. Choose another with --spool."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise SpoolError(f"Another server uses the spool folder {path}. Choose another with --spool.") from error

    def new_session(self) -> SessionFolder:
        """A folder for a session that begins now.

        Raises:
            SpoolError: it cannot be made.
        """
        path = self.path / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        try:
            path.mkdir(mode=0o700)
            _sync_folder(self.path)
        except OSError as error:
            raise SpoolError(f"No session can be kept: {error}. Check the spool folder.") from error
        return SessionFolder(path)

    def sessions(self) -> list[SessionFolder]:
        """All sessions, the oldest first."""
        return [SessionFolder(path) for path in sorted(self.path.iterdir()) if path.is_dir()]

    def unfinished(self) -> list[SessionFolder]:
        """Sessions that a server left in the middle; ask before the first new session."""
        return [
            folder
            for folder in self.sessions()
            if folder.journal.is_file() and ((record := folder.read()) is None or record.state in UNFINISHED)
        ]

    def close(self) -> None:
        """Let another server use the folder."""
        self._lock.close()


def now() -> str:
    """This second, UTC, ISO 8601."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
