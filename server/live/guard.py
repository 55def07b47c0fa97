"""Who may ask the page, and what browsers may do with the answer.

A web site that somebody visits can point a name of its own at this machine (DNS rebinding) and would then be let in as if it were
the page. Such a request bears that name, so names are refused except the page's own; an address of digits cannot be pointed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Guard:
    """Lets GET requests to this machine's page through, and puts `HEADERS` on every answer."""

    def __init__(self, app: Asgi, name: str) -> None:
        """`name` is the host on which the page was asked to listen; it may be asked for by that, too."""
        self._app, self._names = app, {"localhost", name.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_ENCODED]}
            await send(message)

        if scope["type"] != "http":
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not self._is_ours(headers.get(b"host", "")):
            await _refuse(send_guarded, 421, "This page is asked for by an address of digits or as localhost.")
        elif scope["method"] != "GET":
            await _refuse(send_guarded, 405, "This page takes no commands; use GET.")
        elif headers.get(b"sec-fetch-site") in ("cross-site", "same-site") and _is_no_visit(headers):
            await _refuse(send_guarded, 403, "This page answers no other web site.")
        else:
            await self._app(scope, receive, send_guarded)

    def _is_ours(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        if not (colon and port.isdecimal()):
            name = host
        return name.lower() in self._names or _is_address(name.removeprefix("[").removesuffix("]"))


def _is_no_visit(headers: MutableMapping[bytes, str]) -> bool:
    return headers.get(b"sec-fetch-mode") != "navigate"


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(send: Send, status: int, words: str) -> None:
    content = f"{words}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
