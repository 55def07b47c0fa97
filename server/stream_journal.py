"""A journal read while it is written: the reader takes whole messages as they come, and the writer never waits for it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from knerve.server.framing import Frame, frame_of
from knerve.server.journal import FIRST_LINE

_RECORD_HEAD = struct.Struct("<II")  # length of the message, checksum (of no use here: the server has just written it)


class JournalTail:
    """The messages of a journal that still grows; a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._file.seek(len(FIRST_LINE))

    def __enter__(self) -> JournalTail:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def new_frames(self) -> Iterator[Frame]:
        """The messages that are complete by now and were not given before."""
        while True:
            start = self._file.tell()
            head = self._file.read(_RECORD_HEAD.size)
            n_bytes = _RECORD_HEAD.unpack(head)[0] if len(head) == _RECORD_HEAD.size else 0
            raw = self._file.read(n_bytes)
            if not n_bytes or len(raw) < n_bytes:
                self._file.seek(start)
                return
            yield frame_of(raw)
