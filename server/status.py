"""What tells a monitor how the server is: a second port on this machine only, answering GET over HTTP.

    /livez      200 as long as the process answers
    /readyz     200 where a scan could begin now, 503 and the reasons where not
    /metrics    numbers for Prometheus

It gives no patient's data and takes no commands. A few requests are answered at once, each for a few seconds at most: what
asks too often or too slowly holds up nobody but others who ask.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread, Timer

from knerve.server.errors import ServerError
from knerve.server.metrics import CONTENT_TYPE, Metric, exposition

LOOPBACK = "127.0.0.1"
MOST_AT_ONCE = 8
LONGEST_S = 5.0
PLAIN = "text/plain; charset=utf-8"

Reasons = Callable[[], Sequence[str]]
"""Why a scan could not begin now; none where it could."""


class StatusServer:
    """The status port, served from threads of its own until `close`."""

    def __init__(self, port: int, metrics: Sequence[Metric], reasons: Reasons) -> None:
        """Open the port; 0 takes any that is free.

        Raises:
            ServerError: it cannot be opened.
        """
        try:
            self._server = _Server(port, metrics, reasons)
        except (OSError, OverflowError) as failure:
            raise ServerError(
                f"Status port {port} cannot be opened: {failure}. Choose another with --status-port."
            ) from failure
        self.port: int = self._server.server_address[1]
        Thread(target=self._server.serve_forever, args=(0.1,), name="status", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 2 * MOST_AT_ONCE
    block_on_close = False

    def __init__(self, port: int, metrics: Sequence[Metric], reasons: Reasons) -> None:
        self.metrics, self.reasons = metrics, reasons
        self._room = BoundedSemaphore(MOST_AT_ONCE)
        super().__init__((LOOPBACK, port), _Handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Answer in a thread if there is room, else hang up."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Answer, and make room again."""
        assert isinstance(request, socket.socket), "the server listens to TCP"
        too_late = Timer(LONGEST_S, _hang_up, (request,))
        too_late.daemon = True
        too_late.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            too_late.cancel()
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: who asks may leave at any time."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "knerve", ""
    timeout = LONGEST_S

    def do_GET(self) -> None:
        """Answer one of the three questions."""
        match self.path.partition("?")[0]:
            case "/livez":
                self._answer(HTTPStatus.OK, "alive\n")
            case "/readyz":
                reasons = self.server.reasons()
                words = "".join(f"not ready: {reason}\n" for reason in reasons) or "ready\n"
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK, words)
            case "/metrics":
                self._answer(HTTPStatus.OK, exposition(self.server.metrics), CONTENT_TYPE)
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "Ask for /livez, /readyz or /metrics.\n")

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing: a monitor asks every few seconds."""

    def _answer(self, status: HTTPStatus, words: str, kind: str = PLAIN) -> None:
        content = words.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)


def _hang_up(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)
