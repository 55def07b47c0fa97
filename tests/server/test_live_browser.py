"""The live page in headless Chromium: images come, millimetres are true, labels are seen, keys do all that the mouse does."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import numpy as np
import PIL.Image
import pytest

from knerve.datasets.mrd_header import MrdHeader, parse_header
from knerve.server.bulletin import Bulletin, Notice
from knerve.server.desk import Desk
from knerve.server.framing import Frame
from knerve.server.listener import Listener
from knerve.server.live.health import Health
from knerve.server.live.site import LivePage
from knerve.server.messages import Header, Image, Message
from knerve.server.replay import replay
from knerve.server.wire import decode

pytest.importorskip("fastapi", reason="the live page needs fastapi: pip install 'knerve[server]'")
pytest.importorskip("uvicorn", reason="the live page needs uvicorn: pip install 'knerve[server]'")
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.xdist_group("browser"),
]
NX, NY = 16, 12
Point = tuple[float, float]
Begin = Callable[..., Notice]


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

    page: object
    port: int
    errors: list[str]
    asked: list[str]
    site: LivePage

    def text(self, name: str) -> str:
        """What an element says."""
        return self.page.locator(f"#{name}").inner_text()

    def wait(self, name: str, pattern: str) -> None:
        """Until an element says so."""
        playwright_api.expect(self.page.locator(f"#{name}")).to_have_text(re.compile(pattern), timeout=15_000)

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
def browser() -> Iterator[object]:
    with playwright_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def bulletin() -> Bulletin:
    return Bulletin()


@pytest.fixture
def seen(browser, bulletin: Bulletin) -> Iterator[Seen]:
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


def _lit(x: int, y: int) -> np.ndarray:
    pixels = np.zeros((1, NY, NX), "<f4")
    pixels[0, y, x] = 100
    return pixels


def _in_patient(frame: Frame, x: int, y: int) -> np.ndarray:
    """The centre of a pixel by MRD's rule: pixel (nx // 2, ny // 2) lies at the position."""
    image = decode(frame)
    assert isinstance(image, Image)
    head = image.head
    dx, dy = head["field_of_view"][0] / NX, head["field_of_view"][1] / NY
    return head["position"] + (x - NX // 2) * dx * head["read_dir"] + (y - NY // 2) * dy * head["phase_dir"]


TURNED = {"read_dir": (0, np.sin(np.deg2rad(20)), -np.cos(np.deg2rad(20))), "phase_dir": (-1, 0, 0)}


def test_a_played_scan_appears(seen: Seen, bulletin: Bulletin, desk: Desk, raw_file: Path) -> None:
    seen.wait("state", "WAITING FOR A SCAN")
    assert "Not a medical device" in seen.text("research")
    with closing(Listener(replace(desk, bulletin=bulletin), port=0)) as listener:
        Thread(target=listener.serve, daemon=True).start()
        replay(raw_file, "127.0.0.1", listener.port, config="zero-filled")
        seen.wait("state", r"DONE · 2 of 2 slices")
        assert listener.wait(10) == 0
    assert "ZERO-FILLED" in seen.text("now-series")
    assert seen.grey().max() == 255
    shown = seen.text("now-slice").splitlines()[0]
    assert shown == "Slice 2 of 2"
    seen.press("ArrowUp")
    seen.wait("now-slice", "Slice 1 of 2")
    seen.press("ArrowUp")
    seen.wait("now-slice", "Slice 1 of 2")
    seen.page.mouse.move(300, 400)
    seen.page.mouse.wheel(0, 100)
    seen.wait("now-slice", "Slice 2 of 2")
    assert re.search(r"Scan \d+\.\d s, \d+ readouts", seen.text("timeline-words"))
    assert seen.text("health").startswith("Server ready")


@pytest.mark.parametrize("turned", [{}, TURNED])
def test_a_ruler_is_true_and_the_plane_is_hung_as_usual(seen: Seen, begin: Begin, make_image, turned: dict) -> None:
    first, second = (5, 3), (11, 8)
    frames = [make_image(0, _lit(*first), **turned), make_image(0, _lit(*second), **turned)]
    points = [_in_patient(frame, *at) for frame, at in zip(frames, (first, second), strict=True)]
    notice = begin()
    spots = []
    for frame in frames:
        notice.answer(frame)
        seen.page.wait_for_timeout(500)
        spots.append(seen.spot())
    for (x, y), (x2, y2) in (spots,):
        assert (x < x2) == (points[0][0] < points[1][0]), "the patient's left is on the right"
        assert (y < y2) == (points[0][2] > points[1][2]), "the head is up"
    seen.press("m")
    seen.page.mouse.move(*spots[0])
    seen.page.mouse.down()
    seen.page.mouse.move(*spots[1], steps=4)
    seen.page.mouse.up()
    seen.wait("ruler", "mm")
    assert seen.millimetres("ruler") == pytest.approx(np.linalg.norm(points[1] - points[0]), abs=0.12)


def test_needle_to_target_is_measured_across_slices(seen: Seen, begin: Begin, make_image) -> None:
    places = [(5, 3), (11, 8)]
    frames = [make_image(number, _lit(*place)) for number, place in enumerate(places)]
    points = [_in_patient(frame, *place) for frame, place in zip(frames, places, strict=True)]
    notice = begin()
    for frame in frames:
        notice.answer(frame)
    seen.wait("now-slice", "Slice 2 of 2")
    target = seen.spot()
    seen.press("Home")
    seen.wait("now-slice", "Slice 1 of 2")
    needle = seen.spot()
    seen.press("n")
    seen.page.mouse.click(*needle)
    seen.wait("distance-parts", "Mark the target")
    assert seen.text("distance") == "–"
    seen.press("End", "t")
    seen.wait("now-slice", "Slice 2 of 2")
    seen.page.mouse.click(*target)
    seen.wait("distance", "mm")
    whole = np.linalg.norm(points[1] - points[0])
    assert seen.millimetres("distance") == pytest.approx(whole, abs=0.12)
    within, across = map(float, re.findall(r"(\d+\.\d) mm", seen.text("distance-parts")))
    assert across == pytest.approx(4.0, abs=0.05)
    assert within == pytest.approx(np.sqrt(whole**2 - 16), abs=0.12)
    seen.press("Delete")
    seen.wait("distance", "–")


def test_millimetres_stay_true_when_zoomed_and_moved(seen: Seen, begin: Begin, make_image) -> None:
    lit = _lit(6, 5)
    lit[0, 5, 9] = 100
    begin().answer(make_image(0, lit))
    seen.wait("now-slice", "Slice 1 of 2")
    seen.press("+", "Shift+ArrowLeft", "m")
    seen.page.mouse.move(600, 450)
    seen.page.keyboard.down("Control")
    seen.page.mouse.wheel(0, -60)
    seen.page.keyboard.up("Control")
    seen.wait("now-window", r"Zoom 1\.[3-6]×")
    grey = seen.grey()
    box = seen.page.locator("#canvas-now").bounding_box()
    profile = np.where(grey > 60, grey, 0)[150:-150, 60:-60].sum(0)
    middle = int(np.average(np.arange(len(profile)), weights=profile))
    ends = [
        np.average(np.arange(part.start, part.stop), weights=profile[part])
        for part in (slice(0, middle), slice(middle, len(profile)))
    ]
    down = np.average(np.arange(150, len(grey) - 150), weights=np.where(grey > 60, grey, 0)[150:-150, 60:-60].sum(1))
    first, second = ((box["x"] + 60.5 + x, box["y"] + down + 0.5) for x in ends)
    seen.page.mouse.move(*first)
    seen.page.mouse.down()
    seen.page.mouse.move(*second)
    seen.page.mouse.up()
    seen.wait("ruler", "mm")
    assert seen.millimetres("ruler") == pytest.approx(3 * 0.5, abs=0.11)


def test_dragging_sets_the_window_and_keys_do_too(seen: Seen, begin: Begin, make_image) -> None:
    begin().answer(make_image(0, np.full((1, NY, NX), 50, "<f4")))
    seen.wait("now-window", r"Window 100 · level 50\.0")

    def level() -> int:
        grey = seen.grey()
        return int(grey[grey.shape[0] // 2, grey.shape[1] // 3])

    assert level() == pytest.approx(128, abs=1)
    seen.page.mouse.move(500, 400)
    seen.page.mouse.down()
    seen.page.mouse.move(500, 450, steps=5)
    seen.page.mouse.up()
    seen.wait("now-window", r"Window 100 · level 70\.0")
    assert level() == pytest.approx(255 * 0.3, abs=1)
    seen.page.mouse.move(500, 400)
    seen.page.mouse.down()
    seen.page.mouse.move(750, 400, steps=5)
    seen.page.mouse.up()
    seen.wait("now-window", r"Window 272 · level 70\.0")
    seen.press("a")
    seen.wait("now-window", r"Window 100 · level 50\.0")
    seen.press("]", ".")
    seen.wait("now-window", r"Window 111 · level 44\.4")
    assert level() > 128


def test_the_crosshair_measures_without_a_mouse(seen: Seen, begin: Begin, make_image) -> None:
    begin().answer(make_image())
    seen.wait("now-slice", "Slice 1 of 2")
    seen.press("x", "n", *["ArrowRight"] * 4, "t")
    seen.wait("distance", r"^2\.0 mm$")
    seen.press("m", "Shift+ArrowDown", "m")
    seen.wait("ruler", r"^8\.0 mm$")
    assert "Crosshair: " in seen.text("cross-at")
    seen.press("x", "ArrowRight", "?")
    playwright_api.expect(seen.page.locator("#help")).to_be_visible()
    assert seen.page.locator("#keys tr").count() > 20
    seen.press("Escape")
    playwright_api.expect(seen.page.locator("#help")).to_be_hidden()


def test_what_an_image_is_cannot_be_overlooked(seen: Seen, begin: Begin, make_image) -> None:
    notice = begin(n_slices=1)
    seen.wait("waiting-now", "first image is on its way")
    notice.answer(make_image(0, description="FALLBACK navigate", image_series_index=1))
    banner = seen.page.locator("#banner-now")
    seen.wait("banner-now", "^FALLBACK: QUICK IMAGE, NOT THE FINAL ONE$")
    playwright_api.expect(banner).to_be_visible()
    assert banner.bounding_box()["width"] > 800
    assert float(banner.evaluate("(e) => getComputedStyle(e).fontSize").removesuffix("px")) >= 28
    notice.answer(make_image(0, description="navigate knerve cs"))
    playwright_api.expect(banner).to_be_hidden()
    seen.press("2")
    seen.wait("banner-now", "FALLBACK")
    seen.press("0")
    seen.wait("banner-now", "^$")
    notice.ended("done")
    seen.wait("state", "^DONE · 1 of 1 slices$")
    second = begin(n_slices=1)
    seen.wait("banner-now", "^PREVIOUS SCAN: A NEW ONE IS RUNNING$")
    seen.wait("state", "^RECEIVING · 1 readouts$")
    second.answer(make_image(0, description="INCOMPLETE (12 of 30 readouts) navigate"))
    seen.wait("banner-now", r"^INCOMPLETE \(12 of 30 readouts\)$")
    second.said("WARNING  INCOMPLETE: the scan ended early")
    second.ended("incomplete")
    seen.wait("state", r"^INCOMPLETE \(12 of 30 readouts\)")
    seen.wait("timeline-words", "the scan ended early")


def test_compressed_sensing_and_what_a_network_made_of_it_are_told_apart(seen: Seen, begin: Begin, make_image) -> None:
    notice = begin(n_slices=1)
    notice.answer(make_image(0, description="navigate knerve cs", image_series_index=1))
    seen.wait("now-series", "CS")
    playwright_api.expect(seen.page.locator("#banner-now")).to_be_hidden()
    notice.answer(make_image(0, description="navigate knerve dl", image_series_index=2))
    seen.wait("now-series", "DL")  # the best there is
    names = seen.page.locator("#series button").all_inner_texts()
    assert [re.sub(r"[^A-Za-z]", "", name).lower() for name in names] == [
        "best",
        "navigateknervecs",
        "navigateknervedl",
    ]
    seen.press("1")
    seen.wait("now-series", "CS")
    seen.press("2")
    seen.wait("now-series", "DL")


def test_the_previous_scan_is_shown_beside_and_blended(seen: Seen, begin: Begin, make_image) -> None:
    for value in (20, 80):
        notice = begin(n_slices=1)
        notice.answer(make_image(0, np.full((1, NY, NX), value, "<f4")))
        notice.ended("done")
    seen.wait("state", "DONE")

    def level() -> int:
        grey = seen.grey()
        return int(grey[grey.shape[0] // 2, grey.shape[1] // 3])

    assert level() == pytest.approx(0.8 * 255, abs=1)
    seen.page.keyboard.down("b")
    seen.wait("banner-now", "^PREVIOUS SCAN$")
    assert level() == pytest.approx(0.2 * 255, abs=1)
    seen.page.keyboard.up("b")
    seen.wait("banner-now", "^$")
    seen.press("c")
    playwright_api.expect(seen.page.locator("#view-before")).to_be_visible()
    assert seen.text("banner-before") == "PREVIOUS SCAN"
    seen.press("c")
    playwright_api.expect(seen.page.locator("#view-before")).to_be_hidden()
    seen.wait("banner-now", "^BLENDED: 50 % PREVIOUS SCAN$")
    assert level() == pytest.approx(0.5 * 255, abs=2)
    seen.press("c")
    assert level() == pytest.approx(0.8 * 255, abs=1)


def test_marks_tell_their_scan_and_refuse_other_frames(seen: Seen, begin: Begin, make_image) -> None:
    begin(frame_of_reference_uid="1.2.3").answer(make_image())
    seen.wait("now-slice", "Slice 1 of 2")
    seen.press("x", "t", "ArrowRight", "ArrowRight", "n")
    seen.wait("distance", r"^1\.0 mm$")
    begin(frame_of_reference_uid="1.2.3").answer(make_image())
    seen.wait("distance-parts", "needle and target marked in an earlier scan")
    begin(frame_of_reference_uid="9.9.9").answer(make_image())
    seen.wait("distance-parts", "different frames of reference")
    assert seen.text("distance") == "–"


def test_unknown_places_give_no_distance_across_slices(seen: Seen, begin: Begin, make_image) -> None:
    notice = begin()
    for number in range(2):
        notice.answer(make_image(number, read_dir=0, phase_dir=0))
    seen.wait("now-slice", "place in the patient unknown")
    seen.press("Home", "x", "n", "ArrowRight", "t")
    seen.wait("distance", r"^0\.5 mm$")
    seen.press("End", "t")
    seen.wait("distance-parts", "Where slices lie is unknown")
    assert seen.text("distance") == "–"


def test_names_from_headers_are_words_only(seen: Seen, begin: Begin, make_image) -> None:
    begin("<img src=x onerror=alert(1)>").answer(make_image(description="&lt;b>x"))
    seen.wait("scan", "<img src=x")
    seen.wait("now-series", "<B>X")
    assert seen.page.locator("#scan img").count() == 0


def test_a_lost_connection_is_said(seen: Seen) -> None:
    seen.wait("state", "WAITING")
    assert not seen.page.locator("#alarm").is_visible()
    seen.site.close()
    seen.wait("alarm", "NO CONNECTION TO THE SERVER")
    playwright_api.expect(seen.page.locator("#alarm")).to_be_visible()
    seen.wait("health", "no connection")
    seen.errors.clear()  # that it could not connect
