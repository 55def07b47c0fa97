"""Being told to stop: SIGTERM lets open sessions finish, Ctrl-C (SIGINT) does not, and a second signal hurries."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from knerve.datasets.wording import counted
from knerve.server.listener import Listener
from knerve.server.log_lines import told
from knerve.server.workers import Workers

log = logging.getLogger(__name__)

FAREWELL_S = 5.0  # for words and CLOSE to reach those whose session is ended


class Stopping:
    """What was asked for so far.

    Attributes:
        signal: the first signal that came; None as long as none did.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self.signal: int | None = None

    @property
    def is_patient(self) -> bool:
        """Whether open sessions may finish."""
        return self.signal == signal.SIGTERM

    def __call__(self, number: int, _: FrameType | None) -> None:
        """A signal came; the first begins to stop, a second interrupts whatever is waited for."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        self._begin()


@contextmanager
def told_to_stop(begin: Callable[[], None]) -> Iterator[Stopping]:
    """Call `begin` when a signal asks to stop; only in the main thread, where signals come."""
    stopping = Stopping(begin)
    before = {number: signal.signal(number, stopping) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wind_down(listener: Listener, workers: Workers, longest_s: float) -> int:
    """Let open sessions finish, then end those that have not; their clients are told, and their data are kept.

    Returns how many had to be ended: they are finished when the server starts again.
    """
    n_left = 0
    try:
        n_left = listener.wait(0.0)
        if n_left and longest_s:
            log.info(
                "stopping: %s may finish within %g s", counted(n_left, "client"), longest_s, extra=told("draining")
            )
            n_left = listener.wait(longest_s)
    except KeyboardInterrupt:
        log.warning("told once more: stopping at once", extra=told("draining given up"))
        n_left = listener.wait(0.0)
    workers.close()
    listener.stop()
    listener.wait(FAREWELL_S)
    return n_left
