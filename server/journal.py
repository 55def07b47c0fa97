"""Raw messages on disk before anything is done with them: what was received is never lost.

A journal is one line that names it and one record a message: the length of the message (uint32), a checksum of length and
message (CRC-32), the message as it came over the wire. Records are written in one go and synced to the disk at least every
`MESSAGES_PER_SYNC`; so a killed server loses nothing that it received, and a machine without power at most those.

HDF5 cannot do this: a file whose writer is killed does not open again.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from knerve.server.errors import SpoolError
from knerve.server.framing import Frame, frame_of
from knerve.server.messages import MessageId
from knerve.server.visit import current_visit

FIRST_LINE = b"knerve journal 1\n"
MESSAGES_PER_SYNC = 64
_LENGTH, _CHECKSUM = struct.Struct("<I"), struct.Struct("<I")


class JournalWriter:
    """A journal that grows; a context manager that syncs and closes it."""

    def __init__(self, path: Path) -> None:
        """Make the file.

        Raises:
            SpoolError: it cannot be made, or exists.
        """
        self._unsynced = 0
        self._visit = current_visit()
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            self._visit.is_refused = True
            raise SpoolError(f"No journal can be started: {error}. Check the spool folder.") from error

    def __enter__(self) -> JournalWriter:
        self._write(FIRST_LINE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._sync()
        finally:
            os.close(self._file)

    def append(self, frame: Frame) -> None:
        """Keep a message.

        Raises:
            SpoolError: it could not be written; the messages before it stand.
        """
        raw = frame.raw
        length = _LENGTH.pack(len(raw))
        self._write(length + _CHECKSUM.pack(zlib.crc32(raw, zlib.crc32(length))) + raw)
        self._visit.kept(frame.kind)
        self._unsynced += 1
        if self._unsynced >= MESSAGES_PER_SYNC or frame.kind == MessageId.HEADER:
            self._sync()

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            self._visit.has_lost = True
            raise SpoolError(f"The disk of the spool folder failed ({error.strerror}). Check it.") from error
        self._unsynced = 0

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            self._visit.has_lost = True
            raise SpoolError(
                f"The journal cannot be written on ({error.strerror}); what came before is kept. Free space on the disk of "
                f"the spool folder ({len(content) / 1e6:.1f} MB were to be written)."
            ) from error


class JournalReader:
    """The messages of a journal, up to its end or to the first damage.

    Attributes:
        damage: why reading stopped before the end of the file; empty where it did not (known after reading).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""

    def __iter__(self) -> Iterator[Frame]:
        """Every whole message in order.

        Raises:
            SpoolError: there is no such file, or it may not be read.
        """
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if file.read(len(FIRST_LINE)) != FIRST_LINE:
                    self.damage = f"it does not begin with {FIRST_LINE!r}"
                    return
                while (start := file.tell()) < size:
                    head = file.read(_LENGTH.size + _CHECKSUM.size)
                    if len(head) < _LENGTH.size + _CHECKSUM.size:
                        self.damage = f"the record at byte {start} is cut short"
                        return
                    length = _LENGTH.unpack_from(head)[0]
                    if length > size - file.tell():
                        self.damage = f"the record at byte {start} is cut short or damaged"
                        return
                    raw = file.read(length)
                    if (
                        zlib.crc32(raw, zlib.crc32(head[: _LENGTH.size]))
                        != _CHECKSUM.unpack_from(head, _LENGTH.size)[0]
                    ):
                        self.damage = f"the record at byte {start} is damaged (its checksum is wrong)"
                        return
                    yield frame_of(raw)
        except OSError as error:
            raise SpoolError(f"The journal {self.path.name} cannot be read: {error}.") from error
