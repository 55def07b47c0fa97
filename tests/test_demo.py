"""The demo: everything it promises is there, its measures are right, and a second run replaces the first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from knerve import demo
from knerve.datasets.scan_plane import ScanPlane
from knerve.demo_hanging import Hanging
from knerve.demo_nerves import best_view, contrasts, pattern
from knerve.demo_scores import TRUTH, score
from knerve.demo_truth import NerveTruth, Truth, nrmse
from knerve.recon.errors import OutputError
from knerve.recon.images import RESEARCH_USE
from knerve.sequences.protocol import Protocol
from knerve.terminal import Terminal

PIXEL_MM = (0.5, 0.5)
AXIAL = ScanPlane((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def coarse(protocol: Protocol, n_slices: int) -> Protocol:
    """Pixels twice as long and wide: an eighth of the work."""
    was = protocol.geometry
    larger = {"voxel_read_m": 2 * was.voxel_read_m, "voxel_phase_m": 2 * was.voxel_phase_m}
    return replace(protocol, geometry=replace(was, n_slices=n_slices, **larger))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A demo of one coarse slice, and what it answered."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    answers: list[dict[str, object]] = []
    talk = Terminal(as_json=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "of_slices", coarse)
        patch.setattr(talk, "answer", lambda document, *_: answers.append(document))
        demo.run_demo(talk, out, n_slices=1, seed=0)
    return SimpleNamespace(out=out, answer=json.loads(json.dumps(answers[0], default=str)))


def test_the_demo_leaves_images_figures_page_and_raw_file(finished: SimpleNamespace) -> None:
    out = finished.out
    names = {entry.name for entry in out.iterdir()}
    assert names == {"raw.h5", "raw-truth.h5", "images", "figures", "comparison.png", "demo.html", "report.json"}
    assert (out / "images" / "images.h5").is_file()
    page = (out / "demo.html").read_text()
    assert RESEARCH_USE in page
    assert "$" not in page, "every placeholder of the page is filled"
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) >= 7, "the slice four times, three errors"
    assert all((out / picture).is_file() for picture in pictures)


def test_the_demo_answers_with_errors_nerves_and_seconds(finished: SimpleNamespace) -> None:
    answer = finished.answer
    assert answer["slices"] == 1
    assert answer["scan_seconds"] > 1
    assert answer["nrmse"]["cs"] < min(answer["nrmse"]["zero-filled"], answer["nrmse"]["sense"])
    assert set(answer["nerves"]) | set(answer["missing"]) == set(demo.GENICULAR)
    for nerve in answer["nerves"].values():
        assert set(nerve["contrast"]) == {TRUTH, "zero-filled", "sense", "cs", "dl"}
    assert {"simulate the scan", "read the raw file", "cs", "save"} <= set(answer["seconds"])


def test_a_second_demo_replaces_the_first(finished: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    (finished.out / "images" / "images.h5").unlink()
    monkeypatch.setattr(demo, "digital_knee", Mock(side_effect=RuntimeError("before the work")))
    with pytest.raises(RuntimeError, match="before the work"):  # so far it comes: the folder may be replaced
        demo.run_demo(Terminal(as_json=True), finished.out, n_slices=1, seed=0)
    assert (finished.out / "demo.html").is_file(), "a demo that fails leaves the earlier one"


def test_the_demo_does_not_touch_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=re.escape("thesis.tex")):
        demo.run_demo(Terminal(as_json=True), tmp_path, n_slices=1, seed=0)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.fixture
def nerve_truth() -> Callable[[float], Truth]:
    """Two slices with a nerve of three pixels, darker than what is around it by a part."""

    def make(darker: float) -> Truth:
        share = np.zeros((2, 40, 40), np.float32)
        share[:, 19:22, 19:22] = 1
        image = 10 * np.ones_like(share) - 10 * np.float32(darker) * share
        planes = (AXIAL, replace(AXIAL, centre_mm=(0.0, 0.0, 30.0)))
        nerve = NerveTruth(1.5, share, np.array([0.0, 0.0, 2.0]))
        nowhere = np.zeros_like(share, dtype=bool)
        return Truth(image, ~nowhere, planes, PIXEL_MM, {"one": nerve}, nowhere, nowhere)

    return make


def test_contrast_is_the_nerves_difference_from_the_ring(nerve_truth: Callable[[float], Truth]) -> None:
    truth = nerve_truth(0.4)
    nerve = truth.nerves["one"]
    view = best_view(truth, nerve)
    assert view is not None
    assert (view.slice, view.near, view.place) == (0, (0,), (20.0, 20.0)), "the other slice lies 28 mm from the target"
    found = pattern(truth.image[0], nerve.share[0], PIXEL_MM)
    assert sorted(set(np.round(found, 5))) == [-0.4, 0.0]
    contrast, recovered = contrasts(truth.image, truth, nerve, view)
    assert contrast == pytest.approx(float(np.sqrt(np.mean(found**2))))
    assert recovered == pytest.approx(1.0)


def test_a_method_recovers_the_part_of_the_pattern_that_it_shows(nerve_truth: Callable[[float], Truth]) -> None:
    truth, paler, flat = (nerve_truth(darker) for darker in (0.4, 0.2, 0.0))
    scores = score(truth, {"paler": 3 * paler.image, "flat": flat.image})
    nerve = scores.nerves["one"]
    assert nerve.recovered["paler"] == pytest.approx(0.5), "whatever the image's scale"
    assert nerve.contrast["paler"] == pytest.approx(0.5 * nerve.contrast[TRUTH])
    assert nerve.recovered["flat"] == pytest.approx(0.0, abs=1e-6)
    assert scores.missing == ()


def test_a_nerve_far_from_its_target_is_missing(nerve_truth: Callable[[float], Truth]) -> None:
    truth = nerve_truth(0.4)
    far = {"one": replace(truth.nerves["one"], target_mm=np.array([0.0, 0.0, -20.0]))}
    assert score(replace(truth, nerves=far), {}).missing == ("one",)


def test_the_error_counts_the_leg_only_and_fits_no_scale(nerve_truth: Callable[[float], Truth]) -> None:
    truth = nerve_truth(0.0)
    inside = truth.inside.copy()
    inside[:, :5] = False
    truth = replace(truth, inside=inside)
    assert nrmse(truth.image, truth) == 0
    assert nrmse(np.float32(1.1) * truth.image, truth) == pytest.approx(0.1, rel=1e-5)
    noisy_air = truth.image + np.where(inside, 0, 5).astype(np.float32)
    assert nrmse(noisy_air, truth) == 0


@pytest.mark.parametrize(
    ("read", "phase", "edges"),
    [
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), ("R", "L", "A", "P")),
        ((0.0, 0.0, -1.0), (-1.0, 0.0, 0.0), ("R", "L", "H", "F")),
        ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), ("R", "L", "H", "F")),
        ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), ("A", "P", "H", "F")),
    ],
)
def test_images_hang_head_up_and_the_patients_right_on_the_left(
    read: tuple[float, float, float], phase: tuple[float, float, float], edges: tuple[str, str, str, str]
) -> None:
    normal = tuple(np.cross(read, phase).tolist())
    hanging = Hanging.of(ScanPlane((0.0, 0.0, 0.0), read, phase, normal))
    assert hanging.edges == edges
    image = np.arange(12).reshape(3, 4)
    row, column = hanging.place(2, 1, image.shape)
    assert hanging.picture(image)[int(row), int(column)] == image[2, 1]
