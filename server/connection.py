"""The two directions of a client's connection, each at its own pace: a source to read from, an outbox to put messages into."""

from __future__ import annotations

import contextlib
import socket
import time
from queue import Full, Queue
from threading import Thread

from knerve.server.errors import SilentClientError, StoppedError
from knerve.server.framing import Frame
from knerve.server.messages import Close, Message
from knerve.server.visit import current_visit
from knerve.server.wire import encode

BYTES_AT_ONCE = 1 << 18
MESSAGES_WAITING = 64  # in an outbox; the images of a scan fit, so that a slow client does not hold up a worker
GRACE_S = 1.0


class SocketSource:
    """What a client sends, as bytes in order; every wait ends at the deadline that was set last."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting = memoryview(b"")
        self._deadline = 0.0
        self._is_stopped = False

    def stop(self) -> None:
        """Let whoever reads or waits, in another thread, know that the server is being stopped."""
        self._is_stopped = True
        with contextlib.suppress(OSError):  # it has ended already
            self._connection.shutdown(socket.SHUT_RD)  # wakes who waits

    def allow(self, seconds: float) -> None:
        """Let everything that is read from now on take so long, together."""
        self._deadline = time.monotonic() + seconds

    def wait(self) -> None:
        """Wait until something has come, or the stream has ended.

        Raises:
            SilentClientError: nothing came before the deadline.
            StoppedError: the server is being stopped.
        """
        if not self._waiting:
            self._waiting = memoryview(self._receive(BYTES_AT_ONCE))

    def begins_with(self, start: bytes) -> bool:
        """Whether these bytes come next; waits for no more of them than it takes to tell, and takes none.

        Raises:
            SilentClientError: they did not come before the deadline.
            StoppedError: the server is being stopped.
        """
        while len(self._waiting) < len(start) and start.startswith(bytes(self._waiting)):
            came = self._receive(BYTES_AT_ONCE)
            if not came:
                return False
            self._waiting = memoryview(bytes(self._waiting) + came)
        return bytes(self._waiting[: len(start)]) == start

    def read(self, n_bytes: int, /) -> bytes:
        """The next bytes, exactly so many; fewer only where the stream ends.

        Memory is taken as bytes come, not as they are announced.

        Raises:
            SilentClientError: they did not come before the deadline.
            StoppedError: the server is being stopped.
        """
        if len(self._waiting) >= n_bytes:
            return self._take(n_bytes)
        taken = bytearray(self._take(len(self._waiting)))
        while len(taken) < n_bytes:
            came = memoryview(self._receive(BYTES_AT_ONCE))
            if not came:
                break
            missing = n_bytes - len(taken)
            taken += came[:missing]
            self._waiting = came[missing:]
        return bytes(taken)

    def _take(self, n_bytes: int) -> bytes:
        part, self._waiting = self._waiting[:n_bytes], self._waiting[n_bytes:]
        return bytes(part)

    def _receive(self, n_bytes: int) -> bytes:
        try:
            self._connection.settimeout(max(self._deadline - time.monotonic(), 1e-3))
            came = self._connection.recv(n_bytes)
        except TimeoutError as error:
            raise SilentClientError("What was expected did not come in time; the connection is closed.") from error
        except OSError:
            came = b""  # a connection that was torn is one that ended
        if not came and self._is_stopped:
            raise StoppedError(
                "The server is being stopped. What came is kept, and is reconstructed when it starts again."
            )
        return came


class Outbox:
    """What a client is sent, by a thread of its own; CLOSE is always the last word."""

    def __init__(self, connection: socket.socket, sending_s: float) -> None:
        self._connection = connection.dup()  # a timeout of its own
        self._connection.settimeout(sending_s)
        self._sending_s = sending_s
        self._visit = current_visit()
        self._waiting: Queue[Frame | None] = Queue(MESSAGES_WAITING)
        self.is_gone = False
        self._thread = Thread(target=self._send, name="outbox", daemon=True)
        self._thread.start()

    def offer(self, message: Message) -> None:
        """Send if there is room: answers that must not hold up what is received."""
        if not self._waiting.full():
            self._waiting.put(encode(message))

    def put(self, message: Message | Frame) -> None:
        """Send, waiting for room; a client that does not read in time is given up."""
        frame = message if isinstance(message, Frame) else encode(message)
        self._visit.queued(frame.kind)
        try:
            self._waiting.put(frame, timeout=self._sending_s)
        except Full:
            self.is_gone = True

    def finish(self) -> None:
        """Send CLOSE behind everything else, and hang up this direction."""
        self.put(Close())
        self._waiting.put(None)
        self._thread.join()
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.is_gone = True
        self._connection.close()

    def _send(self) -> None:
        while (frame := self._waiting.get()) is not None:
            if self.is_gone:
                continue
            try:
                self._connection.sendall(frame.raw)
                self._visit.sent(frame.kind)
            except OSError:
                self.is_gone = True


def hang_up(connection: socket.socket, longest_s: float) -> None:
    """Close a connection so that what was sent arrives: unread bytes would make the system tear it."""
    until = time.monotonic() + longest_s
    try:
        connection.settimeout(GRACE_S)
        while time.monotonic() < until and connection.recv(BYTES_AT_ONCE):
            pass
    except OSError:
        pass
    finally:
        connection.close()
