"""The live page's own port and thread. A browser can hold up neither a session nor other browsers, nor take all descriptors."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING

from knerve.server.bulletin import Bulletin
from knerve.server.errors import ServerError
from knerve.server.live.guard import Guard
from knerve.server.live.health import AskHealth

if TYPE_CHECKING:
    import uvicorn

LOOPBACK = "127.0.0.1"
STALLED_S = 30.0  # a browser that takes nothing for so long is hung up on
STARTING_S = 10.0


class LivePage:
    """Shows a bulletin to browsers until `close`."""

    def __init__(self, bulletin: Bulletin, ask_health: AskHealth, host: str = LOOPBACK, port: int = 8080) -> None:
        """Open the port; 0 takes any that is free.

        Raises:
            ServerError: FastAPI or uvicorn are not installed, the port cannot be opened, or the page does not start.
        """
        self._server = _uvicorn(bulletin, ask_health, self._is_closing, host)
        self._socket = _listening(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="live page", daemon=True)
        self._thread.start()
        until = time.monotonic() + STARTING_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        if not self._server.started:
            self.close()
            raise ServerError("The live page did not start; the log says why. Leave out --http to serve without it.")

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.should_exit = True
        self._thread.join(STARTING_S)
        self._socket.close()

    def _is_closing(self) -> bool:
        return self._server.should_exit


def _uvicorn(bulletin: Bulletin, ask_health: AskHealth, is_closing: Callable[[], bool], host: str) -> uvicorn.Server:
    try:
        import uvicorn

        from knerve.server.live.app import live_app
        from knerve.server.live.patience import PatientProtocol
    except ModuleNotFoundError as missing:
        raise ServerError(
            f"The live page needs {missing.name}, which is not installed. Install it with: pip install 'knerve[server]'"
        ) from missing
    return uvicorn.Server(
        uvicorn.Config(
            Guard(live_app(bulletin, ask_health, is_closing), host),
            http=PatientProtocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as failure:
        raise ServerError(
            f"The live page's port {port} of {host} cannot be opened: {failure}. Choose another with --http or --http-host."
        ) from failure
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * STALLED_S))
    return listening
