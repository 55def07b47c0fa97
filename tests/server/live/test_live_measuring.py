"""The live page in headless Chromium: millimetres are true."""

from __future__ import annotations

import re

import numpy as np
import pytest

from knerve.server.framing import Frame
from knerve.server.messages import Image
from knerve.server.wire import decode

pytest.importorskip("fastapi", reason="the live page needs fastapi: pip install 'knerve[server]'")
pytest.importorskip("uvicorn", reason="the live page needs uvicorn: pip install 'knerve[server]'")

pytestmark = pytest.mark.xdist_group("browser")
NX, NY = 16, 12  # of `make_image`
TURNED = {"read_dir": (0, np.sin(np.deg2rad(20)), -np.cos(np.deg2rad(20))), "phase_dir": (-1, 0, 0)}


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


@pytest.mark.parametrize("turned", [{}, TURNED])
def test_a_ruler_is_true_and_the_plane_is_hung_as_usual(seen, begin, make_image, turned: dict) -> None:
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


def test_needle_to_target_is_measured_across_slices(seen, begin, make_image) -> None:
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


def test_millimetres_stay_true_when_zoomed_and_moved(seen, begin, make_image) -> None:
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


def test_the_crosshair_measures_without_a_mouse(seen, begin, make_image) -> None:
    begin().answer(make_image())
    seen.wait("now-slice", "Slice 1 of 2")
    seen.press("x", "n", *["ArrowRight"] * 4, "t")
    seen.wait("distance", r"^2\.0 mm$")
    seen.press("m", "Shift+ArrowDown", "m")
    seen.wait("ruler", r"^8\.0 mm$")
    assert "Crosshair: " in seen.text("cross-at")
    seen.press("x", "ArrowRight", "?")
    seen.expect("help").to_be_visible()
    assert seen.page.locator("#keys tr").count() > 20
    seen.press("Escape")
    seen.expect("help").to_be_hidden()


def test_marks_tell_their_scan_and_refuse_other_frames(seen, begin, make_image) -> None:
    begin(frame_of_reference_uid="1.2.3").answer(make_image())
    seen.wait("now-slice", "Slice 1 of 2")
    seen.press("x", "t", "ArrowRight", "ArrowRight", "n")
    seen.wait("distance", r"^1\.0 mm$")
    begin(frame_of_reference_uid="1.2.3").answer(make_image())
    seen.wait("distance-parts", "needle and target marked in an earlier scan")
    begin(frame_of_reference_uid="9.9.9").answer(make_image())
    seen.wait("distance-parts", "different frames of reference")
    assert seen.text("distance") == "–"


def test_unknown_places_give_no_distance_across_slices(seen, begin, make_image) -> None:
    notice = begin()
    for number in range(2):
        notice.answer(make_image(number, read_dir=0, phase_dir=0))
    seen.wait("now-slice", "place in the patient unknown")
    seen.press("Home", "x", "n", "ArrowRight", "t")
    seen.wait("distance", r"^0\.5 mm$")
    seen.press("End", "t")
    seen.wait("distance-parts", "Where slices lie is unknown")
    assert seen.text("distance") == "–"
