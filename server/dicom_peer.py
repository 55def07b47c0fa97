"""A receiver of DICOM files, as AE@HOST:PORT names it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from knerve.server.errors import ServerError

LONGEST_TITLE = 16
_TITLE = re.compile(r"[^\\\s]([^\\\r\n\t\f]*[^\\\s])?")


@dataclass(frozen=True)
class Peer:
    """Where images go."""

    title: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.title}@{host}:{self.port}"


def peer_of(text: str) -> Peer:
    """The peer that a text names.

    Raises:
        ServerError: it names none.
    """
    title, _, address = text.rpartition("@")
    host, _, port = address.rpartition(":")
    if not is_title(title) or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ServerError(
            f"A DICOM receiver is named AE@HOST:PORT, PACS@10.0.0.5:104 for one, the title of at most {LONGEST_TITLE} "
            f"characters; this came: {text!r}."
        )
    return Peer(title, host.strip("[]"), int(port))


def is_title(text: str) -> bool:
    """Whether DICOM takes this as the title of an application."""
    return len(text) <= LONGEST_TITLE and text.isascii() and _TITLE.fullmatch(text) is not None
