"""`knerve protocol show`: what stands in the panel, the document and the figure, and how it refuses."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knerve import cli

pytest.importorskip("sigpy", reason="SigPy designs the pulses")


@pytest.fixture
def show(capsys, monkeypatch):
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["knerve", "protocol", "show", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return run


def line_of(panel: str, name: str) -> str:
    return next(line for line in panel.splitlines() if line.startswith(f"│ {name}"))


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("navigate", "33.0 s (0:33.0)"), ("planning-axial", "330.0 s (5:30.0)"), ("planning-coronal", "330.0 s (5:30.0)")],
)
def test_scan_time_to_the_second(show, name, seconds):
    code, out, _ = show(name)
    assert code == 0
    assert seconds in line_of(out, "Total scan duration")


def test_the_panel_says_what_the_paper_says_and_what_it_does_not(show):
    _, out, _ = show("navigate")
    assert line_of(out, "ACQ voxel MPS").split()[-2] == "paper"
    assert "our reconstruction" in line_of(out, "TR ")
    assert "0.50 mm read, 0.83 mm slice" in line_of(out, "Fat shift at the nerve")
    assert "not evaluated" in line_of(out, "nerve stimulation")
    assert {len(line) for line in out.splitlines()} == {118}


def test_an_inversion_time_from_memory_is_not_the_papers(show):
    _, out, _ = show("stir")
    assert "paper, from memory (200 to 230 ms)" in line_of(out, "Fat suppression")
    assert "µT over TR" in line_of(out, "B1+rms")
    assert "252" in line_of(out, "Inversion time that nulls fat")
    assert "by a Bloch simulation of its pulse" in " ".join(out.replace("│", " ").split())


def test_one_document(show):
    code, out, _ = show("navigate", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["time"]["total_s"] == 33.0
    assert document["origin"]["geometry.voxel_read_m"] == "paper"
    assert document["origin"]["schedule.repetition_time_s"] == "reconstruction"
    assert document["tissues"][0]["name"] == "nerve"


def test_the_figure(show, tmp_path):
    path = tmp_path / "navigate.png"
    code, _, err = show("navigate", "--plot", path)
    assert code == 0
    assert "Wrote" in err
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("L")).std() > 10  # not blank


def test_a_protocol_that_cannot_be_played_is_one_clear_line(show, tmp_path):
    code, out, err = show("navigat", "--json")
    assert code == 1
    assert json.loads(out)["error"]["kind"] == "ProtocolError"
    assert err.splitlines() == [
        "Error: There is no preset 'navigat'; there are navigate, planning-axial, planning-coronal, stir. "
        "Nearest valid value: navigate. Files of your own end in .toml."
    ]
    code, out, err = show(tmp_path / "absent.toml")
    assert (code, out) == (1, "")
    assert "cannot be read" in err


def test_a_wrong_protocol_tells_programs_its_field_and_the_nearest_value(show, tmp_path):
    path = tmp_path / "wrong.toml"
    text = (resources.files("knerve.sequences") / "presets" / "stir.toml").read_text(encoding="utf-8")
    path.write_text(text.replace("inversion_time_ms = 220.0 ", "inversion_time_ms = 10.5 "), encoding="utf-8")
    code, out, _ = show(path, "--json")
    error = json.loads(out)["error"]
    assert code == 1
    assert error["field"] == "fat_suppression.inversion_time_ms"
    assert error["message"].endswith(f"Nearest valid value: {error['nearest']:g}.")
    assert 11 < error["nearest"] < 15
    path.write_text(text.replace("slice_gap_mm", "slice_gab_mm", 1), encoding="utf-8")
    _, out, _ = show(path, "--json")
    assert json.loads(out)["error"]["nearest"] == "slice_gap_mm"


def test_an_export_prints_every_check(tmp_path, capsys, monkeypatch):
    pytest.importorskip("pypulseq", reason="PyPulseq writes the files")
    out = tmp_path / "stir.seq"
    monkeypatch.setattr(sys, "argv", ["knerve", "protocol", "export", "stir", "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    told = {line.split("  ")[1]: line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert not stop.value.code
    assert out.is_file()
    for name in ("timing (PyPulseq)", "lines not read once per average", "gradient, vector", "slew rate, vector"):
        assert "  pass: " in told[name]
    for name in ("nerve stimulation (SAFE)", "B1+rms", "peak B1"):
        assert "  not evaluated: " in told[name]


def test_a_figure_is_a_png_in_a_folder_that_exists(show, tmp_path):
    assert show("navigate", "--plot", tmp_path / "figure.pdf")[0] == 2
    code, _, err = show("navigate", "--plot", tmp_path / "absent" / "figure.png")
    assert code == 1
    assert "absent" in err
