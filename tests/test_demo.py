"""The demo: everything it promises is there, its error measure is right, and a second run replaces the first."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from knerve import demo
from knerve.datasets.demo_scan import write_demo_scan
from knerve.recon.errors import OutputError
from knerve.recon.images import RESEARCH_USE
from knerve.terminal import Terminal


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """The demo on a scan a hundredth of the size."""
    small = functools.partial(write_demo_scan, matrix=(72, 64), n_coils=6, n_calibration=24, acceleration=1.6)
    monkeypatch.setattr(demo, "write_demo_scan", small)

    def run(out: Path) -> None:
        demo.run_demo(Terminal(as_json=True), out, n_slices=2, seed=0)

    return run


def disc(n: int = 64) -> demo.Magnitudes:
    """A bright ring (slice, y, x) around a dark middle."""
    y, x = np.mgrid[:n, :n] - n // 2
    radius = np.hypot(y, x)
    return ((radius < 20) & (radius > 8)).astype(np.float32)[None] * 10


def test_demo_leaves_images_figure_page_and_raw_file(
    small_demo: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    small_demo(out)
    document = json.loads(capsys.readouterr().out)
    assert document["out"] == str(out)
    assert document["slices"] == 2
    assert set(document["nrmse_against_truth"]) == {"zero-filled", "sense", "cs"}
    assert document["nrmse_against_truth"]["cs"] < document["nrmse_against_truth"]["zero-filled"]
    assert {entry.name for entry in out.iterdir()} == {
        "raw.h5",
        "images",
        "comparison.png",
        "demo.html",
        "report.json",
    }
    assert (out / "images" / "images.h5").is_file()
    page = (out / "demo.html").read_text()
    assert RESEARCH_USE in page
    assert "$" not in page, "every placeholder of the page is filled"
    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert links
    for link in links:
        assert (out / link).exists(), f"the page points to {link}, which is not there"


def test_a_second_demo_replaces_the_first(small_demo: Callable[[Path], None], tmp_path: Path) -> None:
    out = tmp_path / "demo"
    small_demo(out)
    (out / "comparison.png").write_bytes(b"old")
    small_demo(out)
    assert (out / "comparison.png").read_bytes() != b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_demo_does_not_touch_files_of_others(small_demo: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"already holds files that knerve did not write, \"thesis.tex\""):
        small_demo(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_interrupted_demo_leaves_nothing(
    small_demo: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "save_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_demo(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_leg_includes_its_dark_middle_and_not_the_air() -> None:
    leg = demo.leg_mask(disc())[0]
    assert leg[32, 32]
    assert leg[32, 20]
    assert not leg[32, 5]
    assert not leg[5, 32]
    assert not leg[14, 14]  # a corner of the ring's bounding box


def test_nrmse_is_relative_and_ignores_the_air() -> None:
    truth = disc()
    assert demo.nrmse(truth, truth) == 0
    assert demo.nrmse(1.1 * truth, truth) == pytest.approx(0.1, rel=1e-5)
    noisy_air = truth + np.where(demo.leg_mask(truth), 0, 5).astype(np.float32)
    assert demo.nrmse(noisy_air, truth) == 0


def test_figure_shows_the_leg_the_nerves_and_the_errors() -> None:
    truth = np.repeat(disc(480), 3, axis=0)
    figure = demo.comparison_figure(truth, {"cs": 0.9 * truth}, {"cs": 0.1}, (0.33, 0.33))
    shown = [axis.images[0] for axis in figure.axes if axis.images]
    assert len(shown) == 5
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["Truth", "Compressed sensing, error 10.0 %"]
    errors = shown[-1].get_array()
    assert errors is not None
    assert float(errors.max()) == pytest.approx(1.0)


def test_page_extrapolates_to_the_navigating_scan() -> None:
    page = demo.demo_page({"read": 1.0, "solve": 5.0}, {"cs": 0.02}, n_slices=3, acceleration=3.0)
    assert "all 15 slices takes 30 s" in " ".join(page.split())
    assert "2.0 %" in page
    assert "5.00 s" in page


@pytest.mark.slow
def test_methods_rank_as_they_should_at_full_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.run_demo(Terminal(as_json=True), tmp_path / "demo", n_slices=1, seed=1)
    errors = json.loads(capsys.readouterr().out)["nrmse_against_truth"]
    assert errors["cs"] < 0.04
    assert errors["cs"] < 0.6 * errors["sense"] < 0.6 * errors["zero-filled"]
