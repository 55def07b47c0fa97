"""Who reconstructs a session while the session is received, as the session sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from knerve.server.framing import Frame
from knerve.server.job import Job


class Companion(Protocol):
    """Who reconstructs a session while it is received."""

    def ring(self) -> None:
        """Say that there is more in the journal; never waits."""

    def finish(self, *, is_complete: bool, first_s: float | None = None) -> None:
        """Say that the session has ended, and wait for the rest of the answer; a WorkerError tells of its death.

        Args:
            is_complete: whether all was received; a scan that was broken off is not reconstructed.
            first_s: a process that says nothing for so long is given up.
        """


ReadAlong = Callable[[Job, Callable[[Frame], None]], Companion | None]
