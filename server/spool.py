"""The folder in which sessions are kept, one folder each.

    stream.journal   every message as it came (journal.py)
    raw.h5           the readouts as an ISMRMRD file, once the session has ended
    images.h5        the images, once they were made
    dicom            the same as DICOM files
    session.json     how far the session got

Beside the folders lie `index.sqlite` (session_index.py) and, where images are sent on, `deliveries.sqlite` (deliveries.py).
A session that was left open, by a killed server or for want of room, is finished when the next one starts (recovery.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from knerve.server.errors import SpoolError
from knerve.server.session_record import UNFINISHED as UNFINISHED
from knerve.server.session_record import SessionRecord as SessionRecord
from knerve.server.session_record import State as State
from knerve.server.visit import Visit, current_visit

GONE = ".gone."
ROOM_BESIDE_RAW_FILE = 64 << 20  # bytes, for images and DICOM
SESSION_NAME = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


@dataclass(frozen=True)
class Observers:
    """Who is told of sessions.

    Attributes:
        before_end: called with the last record of a session before it is written: what fails or is killed there is done again.
        after: called with each record that was written, and with None when a folder was removed.
    """

    before_end: list[Callable[[SessionFolder, SessionRecord], None]] = field(default_factory=list)
    after: list[Callable[[SessionFolder, SessionRecord | None], None]] = field(default_factory=list)


@dataclass(frozen=True)
class SessionFolder:
    """Where one session is kept.

    Attributes:
        path: the folder.
        visit: of the client whose session it is; one that nobody reads where there is none.
        observers: who is told of this session.
    """

    path: Path
    visit: Visit = field(default_factory=Visit, compare=False, repr=False)
    observers: Observers = field(default_factory=Observers, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The session's name everywhere: in logs, in the index, on the disk."""
        return self.path.name

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

    @property
    def dicom(self) -> Path:
        """The folder of the images as DICOM files."""
        return self.path / "dicom"

    def write(self, record: SessionRecord) -> None:
        """Note how far the session got; the note before stands until this one is complete.

        Raises:
            SpoolError: it cannot be written.
        """
        if record.state not in UNFINISHED:
            record = replace(record, ended=now(), n_images=max(record.n_images, self.visit.n_images))
            for observer in self.observers.before_end:
                observer(self, record)
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
        self._tell(record)

    def lacks_room(self) -> bool:
        """Whether the disk has no room for what is made of the journal."""
        needed = self.journal.stat().st_size + ROOM_BESIDE_RAW_FILE
        return shutil.disk_usage(self.path).free < needed

    def read(self) -> SessionRecord | None:
        """How far the session got; None where nobody knows."""
        try:
            found = json.loads((self.path / "session.json").read_bytes())
            names = [known.name for known in fields(SessionRecord) if known.name in found]  # older ones have fewer
            record = SessionRecord(**{name: found[name] for name in names})
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if record.state in get_args(State) else None

    def remove(self) -> None:
        """Forget a session; one that is half removed when the server is killed is no session any more."""
        gone = self.path.with_name(f"{GONE}{self.name}")
        with contextlib.suppress(OSError):
            self.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        self._tell(None)

    def n_bytes(self) -> int:
        """What the session takes of the disk."""
        total = 0
        for path in self.path.rglob("*"):
            with contextlib.suppress(OSError):  # a file that was just put in its place
                total += path.stat().st_size
        return total

    def _tell(self, record: SessionRecord | None) -> None:
        self.visit.record = record
        for observer in self.observers.after:
            observer(self, record)


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
        self.observers = Observers()
        self.refusal: Callable[[], str] = str  # why no session can be kept now; nothing where one can
        for gone in path.glob(f"{GONE}*"):
            shutil.rmtree(gone, ignore_errors=True)

    def new_session(self) -> SessionFolder:
        """A folder for a session of this thread's visit, which begins now.

        Raises:
            SpoolError: it cannot be made, or there is no room for one.
        """
        visit = current_visit()
        if refusal := self.refusal():
            visit.is_refused = True
            raise SpoolError(refusal)
        path = self.path / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        try:
            path.mkdir(mode=0o700)
            _sync_folder(self.path)
        except OSError as error:
            visit.is_refused = True
            raise SpoolError(f"No session can be kept: {error}. Check the spool folder.") from error
        visit.session = path.name
        return SessionFolder(path, visit, self.observers)

    def sessions(self) -> list[SessionFolder]:
        """All sessions, the oldest first."""
        paths = sorted(path for path in self.path.iterdir() if SESSION_NAME.fullmatch(path.name))
        return [SessionFolder(path, observers=self.observers) for path in paths]

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
