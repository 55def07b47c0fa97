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
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from threading import BoundedSemaphore, Condition, Thread

from knerve.server.connection import Outbox, SocketSource, hang_up
from knerve.server.desk import Desk
from knerve.server.errors import ServerError
from knerve.server.log_lines import told
from knerve.server.mrd2_bridge import FIRST_BYTES, serve_mrd2
from knerve.server.session import Session
from knerve.server.spoken import error
from knerve.server.tally import Tally
from knerve.server.visit import Visit, serving

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PORT = 9002
MOST_CLIENTS = 160  # the silent and the slow included, who leave only when their time is over
SHORT_S = 1.0

Door = Callable[[socket.socket], socket.socket]
"""What a connection goes through before it is served, encryption say; raises OSError where it may not enter."""


class Listener:
    """A listening port; `serve` accepts until `close`, what was accepted goes on until it ends or `stop`."""

    def __init__(
        self,
        desk: Desk,
        host: str = LOOPBACK,
        port: int = PORT,
        most_clients: int = MOST_CLIENTS,
        tally: Tally | None = None,
        door: Door | None = None,
    ) -> None:
        """Open the port; 0 takes any that is free.

        Raises:
            ServerError: it cannot be opened.
        """
        self._desk = desk
        self._tally = tally or Tally()
        self._door = door
        self._room = BoundedSemaphore(most_clients)
        self._open: set[SocketSource] = set()
        self._has_left = Condition()
        self._n_here = 0
        self._is_closed = self._is_stopped = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=most_clients)
        except (OSError, OverflowError) as failure:
            raise ServerError(
                f"Port {port} of {host} cannot be opened: {failure}. Choose another with --port or --host."
            ) from failure
        self._socket.settimeout(SHORT_S)  # a signal that comes just before a long wait would not end it
        self.port: int = self._socket.getsockname()[1]

    @property
    def is_accepting(self) -> bool:
        """Whether clients may come."""
        return not self._is_closed

    def serve(self) -> None:
        """Accept clients, each in a thread of its own, until the listener is closed."""
        while not self._is_closed:
            try:
                connection, address = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as failure:
                if not self._is_closed:  # out of file descriptors, say: clients leave again
                    log.warning("no client can be accepted: %s", failure, extra=told("not accepted"))
                    time.sleep(SHORT_S)
                continue
            target = self._serve_client if self._has_room() else self._turn_away
            Thread(target=target, args=(connection,), name=f"client {address[0]}", daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more; sessions go on."""
        self._is_closed = True
        with contextlib.suppress(OSError):  # not every system lets a listening socket be shut down
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._socket.close()

    def wait(self, longest_s: float) -> int:
        """Wait until all clients have been served; returns how many have not when the time is over."""
        until = time.monotonic() + longest_s
        with self._has_left:
            while self._n_here and (left_s := until - time.monotonic()) > 0:
                self._has_left.wait(min(left_s, SHORT_S))
            return self._n_here

    def stop(self) -> None:
        """End what is still received; those who send are told so."""
        with self._has_left:
            self._is_stopped = True
            for source in self._open:
                source.stop()

    def _has_room(self) -> bool:
        if not self._room.acquire(blocking=False):
            return False
        with self._has_left:
            self._n_here += 1
        return True

    def _serve_client(self, connection: socket.socket) -> None:
        try:
            entered = self._entered(connection)
            if entered is not None:
                source = SocketSource(entered)
                with self._tally.visit(), self._stoppable(source):
                    _serve(entered, source, self._desk)
        finally:
            self._room.release()
            with self._has_left:
                self._n_here -= 1
                self._has_left.notify_all()

    def _entered(self, connection: socket.socket) -> socket.socket | None:
        try:
            return connection if self._door is None else self._door(connection)
        except OSError as refusal:
            self._tally.turned_away.add(kind="door")
            log.warning("a client did not get in: %s", refusal, extra=told("turned away"))
            connection.close()
            return None

    @contextlib.contextmanager
    def _stoppable(self, source: SocketSource) -> Iterator[None]:
        with self._has_left:
            self._open.add(source)
            if self._is_stopped:
                source.stop()
        try:
            yield
        finally:
            with self._has_left:
                self._open.discard(source)

    def _turn_away(self, connection: socket.socket) -> None:
        self._tally.turned_away.add(kind="clients")
        log.warning("a client was turned away: there are as many as the server takes", extra=told("turned away"))
        outbox = Outbox(connection, SHORT_S)
        outbox.put(error("The server has as many clients as it takes. Try again in a moment."))
        outbox.finish()
        hang_up(connection, SHORT_S)


def serve_client(connection: socket.socket, desk: Desk) -> None:
    """One session on a connection; CLOSE is sent and the connection closed whatever happens."""
    with serving(Visit()):
        _serve(connection, SocketSource(connection), desk)


def _serve(connection: socket.socket, source: SocketSource, desk: Desk) -> None:
    """Serve a client of either version of MRD; the first bytes tell which."""
    patience, began = desk.patience, time.monotonic()
    source.allow(patience.handshake_s)
    try:
        is_mrd2 = source.begins_with(FIRST_BYTES)
    except ServerError:  # nothing came: that is for the session to tell
        is_mrd2 = False
    left_s = max(0.0, patience.handshake_s - (time.monotonic() - began))
    own = replace(desk, patience=replace(patience, handshake_s=left_s))
    if not is_mrd2:
        _serve_mrd1(connection, source, own)
        return
    try:
        serve_mrd2(connection, source, partial(_serve_mrd1, desk=desk), patience.silence_s, patience.sending_s)
    finally:
        hang_up(connection, patience.farewell_s)


def _serve_mrd1(connection: socket.socket, source: SocketSource, desk: Desk) -> None:
    try:
        outbox = Outbox(connection, desk.patience.sending_s)
        try:
            Session(source, outbox, desk).run()
        finally:
            outbox.finish()
    finally:
        hang_up(connection, desk.patience.farewell_s)
