"""The live page in headless Chromium: images come, labels are seen, keys do all that the mouse does."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from knerve.server.bulletin import Bulletin
from knerve.server.desk import Desk
from knerve.server.listener import Listener
from knerve.server.replay import replay

pytest.importorskip("fastapi", reason="the live page needs fastapi: pip install 'knerve[server]'")
pytest.importorskip("uvicorn", reason="the live page needs uvicorn: pip install 'knerve[server]'")

pytestmark = pytest.mark.xdist_group("browser")
NX, NY = 16, 12  # of `make_image`


def test_a_played_scan_appears(seen, bulletin: Bulletin, desk: Desk, raw_file: Path) -> None:
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


def test_dragging_sets_the_window_and_keys_do_too(seen, begin, make_image) -> None:
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


def test_what_an_image_is_cannot_be_overlooked(seen, begin, make_image) -> None:
    notice = begin(n_slices=1)
    seen.wait("waiting-now", "first image is on its way")
    notice.answer(make_image(0, description="FALLBACK navigate", image_series_index=1))
    banner = seen.page.locator("#banner-now")
    seen.wait("banner-now", "^FALLBACK: QUICK IMAGE, NOT THE FINAL ONE$")
    seen.expect("banner-now").to_be_visible()
    assert banner.bounding_box()["width"] > 800
    assert float(banner.evaluate("(e) => getComputedStyle(e).fontSize").removesuffix("px")) >= 28
    notice.answer(make_image(0, description="navigate knerve cs"))
    seen.expect("banner-now").to_be_hidden()
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


def test_compressed_sensing_and_what_a_network_made_of_it_are_told_apart(seen, begin, make_image) -> None:
    notice = begin(n_slices=1)
    notice.answer(make_image(0, description="navigate knerve cs", image_series_index=1))
    seen.wait("now-series", "CS")
    seen.expect("banner-now").to_be_hidden()
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


def test_the_previous_scan_is_shown_beside_and_blended(seen, begin, make_image) -> None:
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
    seen.expect("view-before").to_be_visible()
    assert seen.text("banner-before") == "PREVIOUS SCAN"
    seen.press("c")
    seen.expect("view-before").to_be_hidden()
    seen.wait("banner-now", "^BLENDED: 50 % PREVIOUS SCAN$")
    assert level() == pytest.approx(0.5 * 255, abs=2)
    seen.press("c")
    assert level() == pytest.approx(0.8 * 255, abs=1)


def test_names_from_headers_are_words_only(seen, begin, make_image) -> None:
    begin("<img src=x onerror=alert(1)>").answer(make_image(description="&lt;b>x"))
    seen.wait("scan", "<img src=x")
    seen.wait("now-series", "<B>X")
    assert seen.page.locator("#scan img").count() == 0


def test_a_lost_connection_is_said(seen) -> None:
    seen.wait("state", "WAITING")
    assert not seen.page.locator("#alarm").is_visible()
    seen.site.close()
    seen.wait("alarm", "NO CONNECTION TO THE SERVER")
    seen.expect("alarm").to_be_visible()
    seen.wait("health", "no connection")
    seen.errors.clear()  # that it could not connect
