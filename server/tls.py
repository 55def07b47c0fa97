"""Encryption in front of a session: the client must show a certificate, and what it says goes on unencrypted inside.

The session gets one end of a pair of sockets and need not know. One thread a client carries bytes between the pair and the
encrypted connection, both ways: an encrypted connection may not be read and written by two threads at once.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from knerve.server.errors import ServerError

BYTES_AT_ONCE = 1 << 18
HANDSHAKE_S = 5.0
LINGER_S = 5.0  # for last bytes to a client that is slow to take them
RETRY_S = 1.0


@dataclass(frozen=True)
class Certificates:
    """Who we are, and whom we let in.

    Attributes:
        certificate: ours, PEM, with those between it and its authority.
        key: of our certificate, PEM.
        client_authority: certificates of those who may vouch for clients, PEM; None lets anybody in.
    """

    certificate: Path
    key: Path
    client_authority: Path | None = None


class TlsDoor:
    """Lets clients in that speak TLS 1.2 or newer and show a certificate of ours."""

    def __init__(self, certificates: Certificates, handshake_s: float = HANDSHAKE_S) -> None:
        """Read the certificates.

        Raises:
            ServerError: one of them cannot be used.
        """
        self._handshake_s = handshake_s
        self._context = _context(certificates)

    def __call__(self, connection: socket.socket) -> socket.socket:
        """The unencrypted end for a client that was let in.

        Raises:
            OSError: it was not: no TLS, no certificate, or too slow.
        """
        connection.setblocking(False)
        encrypted = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            _shake_hands(encrypted, time.monotonic() + self._handshake_s)
        except OSError:
            encrypted.close()
            raise
        ours, theirs = socket.socketpair()
        Thread(target=_Carrier(encrypted, ours).run, name="tls", daemon=True).start()
        return theirs


def _context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificates.certificate, certificates.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise ServerError(
            f"The certificate {certificates.certificate} with the key {certificates.key} cannot be used: {error}. "
            "Give PEM files that belong together, the key without a password, with --tls-cert and --tls-key."
        ) from error
    if certificates.client_authority is not None:
        try:
            context.load_verify_locations(certificates.client_authority)
        except (OSError, ValueError) as error:
            raise ServerError(
                f"The client authority {certificates.client_authority} cannot be used: {error}. "
                "Give a PEM file with --tls-client-ca."
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    raise ValueError("the key asks for a password")


def _shake_hands(connection: ssl.SSLSocket, deadline: float) -> None:
    while True:
        try:
            connection.do_handshake()
            return
        except ssl.SSLWantReadError:
            _wait(connection, deadline, reading=True)
        except ssl.SSLWantWriteError:
            _wait(connection, deadline, reading=False)


def _wait(connection: ssl.SSLSocket, deadline: float, *, reading: bool) -> None:
    left = deadline - time.monotonic()
    waiting = [connection]
    ready = select.select(waiting if reading else [], [] if reading else waiting, [], max(left, 0.0))
    if not any(ready):
        raise TimeoutError("the TLS handshake took too long")


class _Carrier:
    """Carries bytes between an encrypted connection and a plain one until both directions have ended."""

    def __init__(self, encrypted: ssl.SSLSocket, plain: socket.socket) -> None:
        plain.setblocking(False)
        self._encrypted, self._plain = encrypted, plain
        self._inward, self._outward = _Direction(encrypted, plain), _Direction(plain, encrypted)

    def run(self) -> None:
        """Carry; a direction that ends, ends for the other side too."""
        gone_at: float | None = None
        try:
            while not (self._inward.is_over and self._outward.is_over):
                self._turn()
                if self._outward.has_ended:  # the session is over: only its last words are still to be sent
                    gone_at = gone_at or time.monotonic()
                    if time.monotonic() - gone_at > LINGER_S:
                        return
        except OSError:
            pass  # one of the two is gone
        finally:
            self._encrypted.close()
            self._plain.close()

    def _turn(self) -> None:
        readable = [direction.source for direction in (self._inward, self._outward) if direction.has_room]
        writable = [direction.sink for direction in (self._inward, self._outward) if direction.waiting]
        if not self._encrypted.pending() or not self._inward.has_room:
            select.select(readable, writable, [], RETRY_S)
        for direction in (self._inward, self._outward):
            direction.carry()


class _Direction:
    """One way; at most `BYTES_AT_ONCE` are under way."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.waiting = memoryview(b"")
        self.has_ended = self.is_over = False

    @property
    def has_room(self) -> bool:
        """Whether the source should be read."""
        return not self.waiting and not self.has_ended

    def carry(self) -> None:
        """Take what has come, and give what is taken."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if self.has_room:
                self.waiting = memoryview(_received(self.source))
                self.has_ended = not self.waiting
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while self.waiting:
                self.waiting = self.waiting[self.sink.send(self.waiting) :]
        if self.has_ended and not self.waiting and not self.is_over:
            self.is_over = True
            _end(self.sink)


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(BYTES_AT_ONCE)
    except ssl.SSLEOFError:
        return b""  # hung up without a farewell; MRD has its own


def _end(sink: socket.socket) -> None:
    """Say that nothing more comes; what the other side still says is read on."""
    if isinstance(sink, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            sink.unwrap()  # says farewell; the client's is not waited for
        return
    sink.shutdown(socket.SHUT_WR)
