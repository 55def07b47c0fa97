"""The live page of a bulletin, asked over HTTP or seen in headless Chromium."""

from __future__ import annotations

import http.client
import io
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest

from knerve.datasets.mrd_header import MrdHeader, parse_header
from knerve.server.bulletin import Bulletin, Notice
from knerve.server.live.health import Health
from knerve.server.live.site import LivePage
from knerve.server.messages import Header, Message

if TYPE_CHECKING:
    from playwright.sync_api import Browser, LocatorAssertions, Page

Point = tuple[float, float]
Begin = Callable[..., Notice]
AskPage = Callable[..., tuple[int, dict[str, str], bytes]]
HEALTH = Health("1.2.3", ("the disk is full",), 5 << 30, 1, 2)


@pytest.fixture
def bulletin() -> Bulletin:
    """What is told, empty."""
    return Bulletin()


@pytest.fixture
def notice(bulletin: Bulletin, scan: list[Message]) -> Notice:
    """A scan of a patient with a name, one readout in."""
    assert isinstance(scan[1], Header)
    named = parse_header(scan[1].xml.replace(b"Demo^Knee", b"Doe^Jane"))
    assert named.scan_header.patient_name == "Doe^Jane"
    notice = bulletin.notice()
    notice.header(named)
    notice.readout(scan[-2].head)
    return notice


@pytest.fixture
def page(bulletin: Bulletin) -> Iterator[LivePage]:
    """The page, served."""
    with closing(LivePage(bulletin, lambda: HEALTH, port=0)) as opened:
        yield opened


@pytest.fixture(scope="session")
def ask_page() -> AskPage:
    """Ask a page for a path: status, headers and content of its answer."""

    def ask(page: LivePage, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)) as connection:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=names)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    return ask


@dataclass
class Seen:
    """A page in a browser.

    Attributes:
        page: Playwright's.
        port: on which it is served.
        errors: what the console complained of.
        asked: every address that was asked for.
        site: who serves it.
    """

    page: Page
    port: int
    errors: list[str]
    asked: list[str]
    site: LivePage

    def text(self, name: str) -> str:
        """What an element says."""
        return self.page.locator(f"#{name}").inner_text()

    def expect(self, name: str) -> LocatorAssertions:
        """What can be asked of an element, with some patience."""
        from playwright.sync_api import expect

        return expect(self.page.locator(f"#{name}"))

    def wait(self, name: str, pattern: str) -> None:
        """Until an element says so."""
        self.expect(name).to_have_text(re.compile(pattern), timeout=15_000)

    def press(self, *keys: str) -> None:
        """One key after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def painted(self) -> None:
        """Two frames later, when the pixels are there."""
        self.wait("waiting-now", "^$")
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def grey(self) -> np.ndarray:
        """The view as it is on the screen."""
        self.painted()
        shot = self.page.screenshot(clip=self.page.locator("#canvas-now").bounding_box())
        return np.asarray(PIL.Image.open(io.BytesIO(shot)).convert("L"), float)

    def spot(self) -> Point:
        """Where the one bright pixel of the image lies in the window, found by its light; words at the edges left out."""
        grey = self.grey()
        height, width = grey.shape
        inner = np.zeros_like(grey)
        inner[height // 6 : -height // 6, width // 8 : -width // 8] = 1
        weight = np.where(grey > 60, grey, 0) * inner
        assert weight.sum() > 0, "nothing bright is shown"
        y, x = np.average(np.indices(grey.shape).reshape(2, -1), axis=1, weights=weight.ravel())
        box = self.page.locator("#canvas-now").bounding_box()
        return box["x"] + x + 0.5, box["y"] + y + 0.5

    def millimetres(self, name: str) -> float:
        """The number that an element shows."""
        return float(self.text(name).removesuffix(" mm"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def seen(browser: Browser, bulletin: Bulletin) -> Iterator[Seen]:
    """The page, open; afterwards nothing was complained of and nothing asked of others."""
    with closing(LivePage(bulletin, lambda: Health("1.2.3"), port=0)) as site:
        context = browser.new_context(viewport={"width": 1300, "height": 900})
        page = context.new_page()
        errors: list[str] = []
        asked: list[str] = []
        page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://127.0.0.1:{site.port}/")
        opened = Seen(page, site.port, errors, asked, site)
        yield opened
        context.close()
    assert opened.errors == []
    assert [url for url in asked if not url.startswith(f"http://127.0.0.1:{site.port}/")] == []


@pytest.fixture
def begin(bulletin: Bulletin, scan: list[Message]) -> Begin:
    """Begin a scan; it has `n_slices` and a protocol's name."""

    def begun(protocol: str = "navigate", n_slices: int = 2, **about: str) -> Notice:
        assert isinstance(scan[1], Header)
        header: MrdHeader = parse_header(scan[1].xml)
        (encoding,) = header.encodings
        notice = bulletin.notice()
        notice.header(
            replace(
                header,
                encodings=(replace(encoding, announced={"slice": n_slices}),),
                scan_header=replace(header.scan_header, protocol_name=protocol, **about),
            )
        )
        notice.readout(scan[-2].head)
        return notice

    return begun
