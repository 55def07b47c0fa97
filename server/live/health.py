"""How the server is, as the live page shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """The server at one moment.

    Attributes:
        version: of knerve.
        not_ready: why a scan could not begin now; none where it could.
        free_bytes: left on the disk of the spool; None where that is unknown.
        n_lost: scans since the server started of which a message came that could not be kept.
        n_incomplete: scans since the server started that ended without CLOSE.
    """

    version: str
    not_ready: Sequence[str] = ()
    free_bytes: int | None = None
    n_lost: int = 0
    n_incomplete: int = 0


AskHealth = Callable[[], Health]
