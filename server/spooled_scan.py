"""A session of the spool as a raw file, for whoever reads raw files: also one whose server was killed or still receives."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knerve.recon.errors import RawDataError
from knerve.server.journal import FIRST_LINE
from knerve.server.raw_file import write_raw_file
from knerve.server.session_record import UNFINISHED
from knerve.server.spool import SessionFolder


@contextmanager
def raw_file_of(path: Path) -> Iterator[Path]:
    """The raw file that a path stands for, as long as the context lasts.

    Of a session's folder, or the journal in it, that is the file that the server wrote when the session ended; before, what
    the journal holds by now, written to a file that does not stay. Every other path stands for itself.

    Raises:
        RawDataError: the journal holds no readouts.
        KnerveError: it cannot be read.
    """
    folder = SessionFolder(path if path.is_dir() else path.parent)
    if not (_is_journal(folder.journal) and (path.is_dir() or path == folder.journal)):
        yield path
        return
    record = folder.read()
    if record is not None and record.state not in UNFINISHED and folder.raw.is_file():
        yield folder.raw
        return
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / f"{folder.name}.h5"
        journalled = write_raw_file(folder.journal, raw)
        if not journalled.n_readouts:
            raise RawDataError(f"The journal of {folder.path} holds no readouts; there is nothing to reconstruct.")
        yield raw


def _is_journal(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(FIRST_LINE)) == FIRST_LINE
    except OSError:
        return False
