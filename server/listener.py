"""The TCP server: it accepts clients and gives each its session.

Blocking sockets and two threads a client, not asyncio. A scanner room has a handful of clients, not thousands; a session
then reads from top to bottom, and what takes time (receiving into memory, checksums of large readouts, fsync, sending) leaves
Python's lock to the others. In an event loop every fsync would have to be handed to a thread anyway, or hold up everybody.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from threading import BoundedSemaphore, Thread

from knerve.server.connection import Outbox, SocketSource, hang_up
from knerve.server.errors import ServerError
from knerve.server.session import Desk, Session
from knerve.server.spoken import error

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PORT = 9002
MOST_CLIENTS = 32
SHORT_S = 1.0


class Listener:
    """A listening port; `serve` accepts until `close`."""

    def __init__(self, desk: Desk, host: str = LOOPBACK, port: int = PORT, most_clients: int = MOST_CLIENTS) -> None:
        """Open the port; 0 takes any that is free.

        Raises:
            ServerError: it cannot be opened.
        """
        self._desk = desk
        self._room = BoundedSemaphore(most_clients)
        self._is_closed = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=most_clients)
        except (OSError, OverflowError) as failure:
            raise ServerError(
                f"Port {port} of {host} cannot be opened: {failure}. Choose another with --port or --host."
            ) from failure
        self.port: int = self._socket.getsockname()[1]

    def serve(self) -> None:
        """Accept clients, each in a thread of its own, until the listener is closed."""
        while not self._is_closed:
            try:
                connection, address = self._socket.accept()
            except OSError as failure:
                if not self._is_closed:  # out of file descriptors, say: clients leave again
                    log.warning("no client can be accepted: %s", failure)
                    time.sleep(SHORT_S)
                continue
            has_room = self._room.acquire(blocking=False)
            target = self._serve_client if has_room else self._turn_away
            Thread(target=target, args=(connection,), name=f"client {address[0]}", daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more; sessions go on."""
        self._is_closed = True
        with contextlib.suppress(OSError):  # not every system lets a listening socket be shut down
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._socket.close()

    def _serve_client(self, connection: socket.socket) -> None:
        try:
            serve_client(connection, self._desk)
        finally:
            self._room.release()

    def _turn_away(self, connection: socket.socket) -> None:
        outbox = Outbox(connection, SHORT_S)
        outbox.put(error("The server has as many clients as it takes. Try again in a moment."))
        outbox.finish()
        hang_up(connection, SHORT_S)


def serve_client(connection: socket.socket, desk: Desk) -> None:
    """One session on a connection; CLOSE is sent and the connection closed whatever happens."""
    try:
        outbox = Outbox(connection, desk.patience.sending_s)
        try:
            Session(SocketSource(connection), outbox, desk).run()
        finally:
            outbox.finish()
    finally:
        hang_up(connection, desk.patience.farewell_s)
