"""The command line: what it writes where, exit codes, one JSON document, and words a user can act on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from knerve import cli
from knerve.datasets.demo_scan import write_demo_scan
from knerve.recon.errors import RawDataError
from knerve.recon.images import RESEARCH_USE, ImageSeries
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings
from knerve.terminal import Terminal, facts_table, to_json


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "knee.h5"
    write_demo_scan(path, n_slices=2, matrix=(64, 48), n_coils=6, n_calibration=24, acceleration=1.5)
    return path


def test_recon_writes_images_and_says_what_it_did(raw: Path, tmp_path: Path, knerve: Callable[..., Any]) -> None:
    run = knerve("recon", raw, "--out", tmp_path / "out")
    assert run.code == 0, run.err
    for name in ("images.h5", "report.json", "report.html"):
        assert (tmp_path / "out" / name).is_file()
    assert len(list((tmp_path / "out" / "dicom").iterdir())) == 2
    assert "auto chose cs" in run.err
    assert "2 of 2 slices" in run.err
    assert RESEARCH_USE in run.out
    for fact in ("noise readouts", "SNR", "seconds", "solve", "written to", "dicom/ (2 files)"):
        assert fact in run.out


def test_recon_json_is_one_document(raw: Path, tmp_path: Path, knerve: Callable[..., Any]) -> None:
    run = knerve("recon", raw, "--out", tmp_path / "out", "--method", "zero-filled", "--json", "--format", "png")
    assert run.code == 0, run.err
    document = run.document
    assert document["out"] == str(tmp_path / "out")
    assert document["method"] == "zero-filled"
    assert document["research_use"] == RESEARCH_USE
    assert isinstance(document["seconds"], dict)
    assert {"read", "solve", "save"} <= set(document["seconds"])
    assert not (tmp_path / "out" / "images.h5").exists()
    assert "auto chose" not in run.err


def test_every_option_reaches_the_settings(
    raw: Path, tmp_path: Path, knerve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings] = []

    def stop_here(_scan: RawScan, settings: Settings, _callback: Callable[[int, int], None]) -> ImageSeries:
        seen.append(settings)
        raise RawDataError("far enough")

    monkeypatch.setattr("knerve.recon.pipeline.reconstruct", stop_here)
    options = "--method sense --device cpu --threads 1 --coils 4 --compression svd --map-sets 2 --regularisation 1.5"
    more = "--snr-map replica --iterations 7 --seed 3 --group dataset --format mrd --format nifti --complex"
    run = knerve("recon", raw, "--out", tmp_path / "out", *options.split(), *more.split())
    assert run.code == 1
    assert seen == [
        Settings(
            method="sense",
            device="cpu",
            threads=1,
            virtual_coils=4,
            compression="svd",
            map_sets=2,
            regularisation=1.5,
            snr_map="replica",
            max_iterations=7,
            seed=3,
        )
    ]


def test_complex_images_and_formats_reach_the_writer(raw: Path, tmp_path: Path, knerve: Callable[..., Any]) -> None:
    run = knerve(
        *("recon", raw, "--out", tmp_path / "out", "--method", "zero-filled", "--snr-map", "none"),
        *("--format", "mrd", "--format", "nifti", "--complex"),
    )
    assert run.code == 0, run.err
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == {
        "images.h5",
        "nifti",
        "report.json",
        "report.html",
    }
    assert "no SNR map was asked for" in run.out


def test_info_tells_what_is_inside(raw: Path, knerve: Callable[..., Any]) -> None:
    told = knerve("info", raw)
    assert told.code == 0, told.err
    assert told.out.strip()
    as_json = knerve("info", raw, "--json")
    assert as_json.code == 0
    assert as_json.document


@pytest.mark.parametrize("command", ["recon", "info"])
def test_a_raw_file_that_is_not_there_is_one_clear_line(
    command: str, tmp_path: Path, knerve: Callable[..., Any]
) -> None:
    missing = tmp_path / "missing.h5"
    arguments = [command, missing] + (["--out", tmp_path / "out"] if command == "recon" else [])
    run = knerve(*arguments)
    assert run.code == 1
    assert run.out == ""
    errors = [line for line in run.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "missing.h5" in errors[0]
    assert "Traceback" not in run.err
    assert not (tmp_path / "out").exists()

    run = knerve(*arguments, "--json")
    assert run.code == 1
    error = run.document["error"]
    assert isinstance(error, dict)
    assert error["kind"] == "RawDataError"
    assert "missing.h5" in error["message"]


def test_a_folder_with_files_of_others_is_refused_before_any_work(
    raw: Path, tmp_path: Path, knerve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knerve.datasets.reading.read_raw", _must_not_run)
    (tmp_path / "thesis.tex").write_text("mine")
    run = knerve("recon", raw, "--out", tmp_path)
    assert run.code == 1
    assert "thesis.tex" in run.err
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    raw: Path, knerve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("this system has no /proc")
    monkeypatch.setattr("knerve.datasets.reading.read_raw", _must_not_run)
    run = knerve("recon", raw, "--out", "/proc/knee")
    assert run.code == 1
    assert "/proc/knee could not be written" in run.err


def test_a_missing_gpu_is_told_before_the_file_is_read(
    raw: Path, tmp_path: Path, knerve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knerve.datasets.reading.read_raw", _must_not_run)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run = knerve("recon", raw, "--out", tmp_path / "out", "--device", "cuda")
    assert run.code == 1
    assert 'Error: device "cuda" was asked for' in run.err


def _must_not_run(*_arguments: object, **_options: object) -> RawScan:
    raise AssertionError("the raw file was read although the output cannot be written")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("recon",), "Missing argument"),
        (("recon", "scan.h5"), "--out"),
        (("recon", "scan.h5", "--out", "x", "--method", "magic"), "magic"),
        (("recon", "scan.h5", "--out", "x", "--format", "gif"), "gif"),
        (("recon", "scan.h5", "--out", "x", "--coils", "0"), "--coils"),
        (("recon", "scan.h5", "--out", "x", "--map-sets", "3"), "--map-sets"),
        (("recon", "scan.h5", "--out", "x", "--regularisation", "1e9"), "between 0.0 and 1000.0"),
        (("transmogrify",), "transmogrify"),
    ],
)
def test_wrong_usage_is_exit_2(arguments: tuple[str, ...], words: str, knerve: Callable[..., Any]) -> None:
    run = knerve(*arguments)
    assert run.code == 2
    assert run.out == ""
    assert words in run.err

    if arguments[0] == "recon":
        run = knerve(*arguments, "--json")
        assert run.code == 2
        error = run.document["error"]
        assert isinstance(error, dict)
        assert error["kind"] == "Usage"
        assert words in error["message"]


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_an_interrupt_leaves_nothing_and_exits_130(
    flags: tuple[str, ...], raw: Path, tmp_path: Path, knerve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("knerve.datasets.saving.write_png", interrupted)
    run = knerve("recon", raw, "--out", tmp_path / "out", "--method", "zero-filled", *flags)
    assert run.code == 130
    assert list(tmp_path.iterdir()) == []
    assert "interrupted" in run.err
    if flags:
        assert "error" in run.document


def test_a_defect_shows_its_traceback_and_still_answers_in_json(
    raw: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_arguments: object, **_options: object) -> RawScan:
        raise ZeroDivisionError

    monkeypatch.setattr("knerve.datasets.reading.read_raw", broken)
    monkeypatch.setattr(sys, "argv", ["knerve", "info", str(raw), "--json"])
    with pytest.raises(ZeroDivisionError):
        cli.main()
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["kind"] == "Defect"
    assert "report" in said.err


def test_progress_is_plain_lines_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(as_json=False).slices("Reconstructing") as on_slices_done:
        on_slices_done(1, 3)  # too soon after the start for a line
        on_slices_done(3, 3)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "Reconstructing: 3 of 3 slices\n"


def test_progress_tells_the_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr("knerve.terminal.time.monotonic", lambda: next(clock))
    with Terminal(as_json=True).slices("Reconstructing") as on_slices_done:
        on_slices_done(1, 4)
        on_slices_done(2, 4)
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "Reconstructing: 1 of 4 slices, about 30 s left",
        "Reconstructing: 2 of 4 slices, about 20 s left",
    ]


def test_notes_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Terminal(as_json=False)
    talk.notes(("no noise scan", "[odd] header"))
    talk.notes(("no noise scan",))
    assert capsys.readouterr().err == "Note: no noise scan\nNote: [odd] header\n"


def test_warnings_are_loud(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(as_json=False).notes(("Warning: 484 images of one line each",))
    assert capsys.readouterr().err == "Warning: 484 images of one line each\n"


def test_one_slice_is_singular(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(as_json=False).slices("Reconstructing") as on_slices_done:
        on_slices_done(1, 1)
    assert capsys.readouterr().err == "Reconstructing: 1 of 1 slice\n"


def test_json_is_strict() -> None:
    document = {"path": Path("a"), "nan": float("nan"), "inf": [float("inf"), 1.5], "deep": {3: (True, None)}}
    assert json.loads(to_json(document)) == {"path": "a", "nan": None, "inf": [None, 1.5], "deep": {"3": [True, None]}}


def test_facts_of_facts_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"field_strength_t": 2.893620, "grid": {"matrix": (552, 484, 1)}, "known": True, "noise": None}
    Terminal(as_json=False).answer({}, facts_table(facts))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "field strength t  2.894",
        "grid",
        "  matrix          552, 484, 1",
        "known             yes",
        "noise             -",
    ]


def test_help_does_not_wait_for_torch() -> None:
    modules = "knerve.cli, knerve.datasets.output_formats"  # what can be refused is refused at once
    code = f"import sys, {modules}; print(sorted({{'torch', 'numpy', 'h5py', 'matplotlib'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_front_door_in_python(raw: Path, tmp_path: Path) -> None:
    import knerve

    scan = knerve.read(str(raw))
    assert isinstance(scan, knerve.RawScan)
    assert knerve.describe(scan).as_dict()
    images = knerve.reconstruct(scan, "zero-filled")
    assert images.method == "zero-filled"
    again = knerve.reconstruct(scan, settings=knerve.Settings(method="zero-filled"))
    assert torch.equal(images.image, again.image)
    files = knerve.save(images, tmp_path / "out", formats=frozenset({"png"}))
    assert all(file.is_file() for file in files)
    with pytest.raises(knerve.KnerveError, match=r"both given; say Settings\(method='cs'"):
        knerve.reconstruct(scan, method="cs", settings=knerve.Settings())
    with pytest.raises(AttributeError, match="no attribute 'recieve'; public names: ImageSeries"):
        knerve.recieve  # type: ignore[attr-defined]  # noqa: B018  # the misspelt name is the test
    assert set(knerve.__all__) <= set(dir(knerve))
    assert knerve.__version__
