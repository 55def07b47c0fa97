"""The page's HTTP side: files, news, pixels. GET only.

    /                          the page
    /page/NAME                 its scripts and style
    /news                      server-sent events: everything but the pixels, whenever it changed
    /news.json                 the same, once
    /pictures/NUMBER/Z         pixels of one partition of an image; X-Pixel-Type says their type

Each reader of /news takes the newest state when it is ready for one, a few times a second at most. So who reads slowly misses
states and holds nothing up, and nothing is queued for it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from importlib.resources import files

from fastapi import FastAPI, HTTPException
from fastapi.responses import Response, StreamingResponse

from knerve.server.bulletin import Bulletin
from knerve.server.live.health import AskHealth
from knerve.server.live.telling import told

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
PAGE = "page.html"
MOST_READERS = 16
LOOK_S = 0.05  # between two looks at the bulletin
PAUSE_S = 0.2  # between two states that one reader is told
HEARTBEAT_S = 2.0  # the page calls itself cut off when nothing came for some of these


def page_files() -> dict[str, tuple[bytes, str]]:
    """Everything that browsers load of the package, with its type."""
    found = {}
    for file in files("knerve.server.live").iterdir():
        kind = next((kind for ending, kind in KINDS.items() if file.name.endswith(ending)), None)
        if kind is not None:
            found[file.name] = file.read_bytes(), kind
    return found


class News:
    """The state as JSON, made once for all readers."""

    def __init__(self, bulletin: Bulletin, ask_health: AskHealth) -> None:
        self._bulletin, self._ask_health = bulletin, ask_health
        self._boot = secrets.token_hex(4)
        self._made: tuple[int, float, str] | None = None
        self.n_readers = 0

    @property
    def version(self) -> int:
        """Of what sessions reported."""
        return self._bulletin.version

    def json(self) -> str:
        """The newest state; one that is a moment old where nothing was reported since."""
        now, version = time.monotonic(), self.version
        if self._made is None or version != self._made[0] or now > self._made[1] + PAUSE_S:
            self._made = version, now, told(self._bulletin, self._ask_health(), self._boot)
        return self._made[2]


def live_app(bulletin: Bulletin, ask_health: AskHealth, is_closing: Callable[[], bool]) -> FastAPI:
    """The application; `is_closing` ends the events."""
    app = FastAPI(openapi_url=None)
    news, assets = News(bulletin, ask_health), page_files()

    @app.get("/")
    async def page() -> Response:
        return _asset(PAGE)

    @app.get("/favicon.ico")
    async def icon() -> Response:
        return Response(status_code=204)  # browsers ask; there is none

    @app.get("/page/{name}")
    async def asset(name: str) -> Response:
        return _asset(name)

    @app.get("/news.json")
    async def newest() -> Response:
        return Response(news.json(), media_type="application/json")

    @app.get("/news")
    async def events() -> Response:
        if news.n_readers >= MOST_READERS:
            raise HTTPException(503, "As many browsers look on as the server takes. Close one.")
        return StreamingResponse(_events(news, is_closing), media_type="text/event-stream")

    @app.get("/pictures/{number}/{partition}")
    async def pixels(number: int, partition: int) -> Response:
        picture = bulletin.picture(number)
        if picture is None or not 0 <= partition < picture.image.pixels.shape[1]:
            raise HTTPException(404, "There is no such picture any more; newer ones have taken its place.")
        content, kind = picture.bytes_of(partition)
        return Response(content, media_type="application/octet-stream", headers={"X-Pixel-Type": kind})

    def _asset(name: str) -> Response:
        if name not in assets:
            raise HTTPException(404, "The page has no such file.")
        content, kind = assets[name]
        return Response(content, media_type=kind)

    return app


async def _events(news: News, is_closing: Callable[[], bool]) -> AsyncIterator[bytes]:
    news.n_readers += 1
    try:
        while not is_closing():
            version = news.version
            yield f"data: {news.json()}\n\n".encode()
            told_at = time.monotonic()
            await asyncio.sleep(PAUSE_S)
            while news.version == version and time.monotonic() < told_at + HEARTBEAT_S and not is_closing():
                await asyncio.sleep(LOOK_S)
    finally:
        news.n_readers -= 1
