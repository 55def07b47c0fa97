"""What is known of one client's visit while it lasts.

Journal, outbox and spool note what they do for the client that their thread serves; log lines and metrics read it. So a
session need not know who watches it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from knerve.server.messages import MessageId
from knerve.server.session_record import SessionRecord


class Visit:
    """One client, from connecting to our CLOSE.

    Attributes:
        session: name of the folder in which the session is kept; empty as long as there is none.
        record: how far the session got; None where nothing is kept of it.
        n_images: images that were there to be sent.
        last_readout: when the last readout was kept, on the monotonic clock in seconds; None before.
        last_image: when the last image was sent, likewise.
        has_lost: whether a message came that could not be kept.
        is_refused: whether no session could be kept.
    """

    def __init__(self) -> None:
        self.session = ""
        self.record: SessionRecord | None = None
        self.n_images = 0
        self.last_readout: float | None = None
        self.last_image: float | None = None
        self.has_lost = self.is_refused = False

    @property
    def wait_s(self) -> float | None:
        """From the last readout to the last image, both at this machine; None where there was no image."""
        if self.last_readout is None or self.last_image is None:
            return None
        return max(0.0, self.last_image - self.last_readout)

    def kept(self, kind: MessageId) -> None:
        """A message is in the journal."""
        if kind == MessageId.ACQUISITION:
            self.last_readout = time.monotonic()

    def queued(self, kind: MessageId) -> None:
        """A message is to be sent."""
        self.n_images += kind == MessageId.IMAGE

    def sent(self, kind: MessageId) -> None:
        """The system took a message for the client."""
        if kind == MessageId.IMAGE:
            self.last_image = time.monotonic()


_CURRENT: ContextVar[Visit | None] = ContextVar("visit", default=None)


@contextmanager
def serving(visit: Visit) -> Iterator[Visit]:
    """Everything that this thread does is for this visit."""
    token = _CURRENT.set(visit)
    try:
        yield visit
    finally:
        _CURRENT.reset(token)


def current_visit() -> Visit:
    """The visit that this thread serves; one that nobody reads where it serves none."""
    return _CURRENT.get() or Visit()
