"""A folder of results is complete or not there: refusals, replacement, and what every failure leaves behind."""

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from knerve.datasets.staged_output import FILES_KEY, MARKER_FILE, MARKER_KEY, check_target, staged_directory
from knerve.recon.errors import OutputError


def _write_output(target: Path, *names: str) -> None:
    """Write one file for each name and the marker that lists them, as the real writers do."""
    with staged_directory(target) as staging:
        for name in names:
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        (staging / MARKER_FILE).write_text(json.dumps({MARKER_KEY: 1, FILES_KEY: [*names, MARKER_FILE]}))


def _fail_halfway(target: Path, error: BaseException) -> None:
    with staged_directory(target) as staging:
        (staging / "half").write_text("x")
        raise error


def _tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_writes_aside_and_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with staged_directory(target) as staging:
        (staging / "images.h5").write_text("x")
        assert staging.parent == target.parent
        assert staging.name.startswith(".")
        assert not target.exists()
    assert _tree(tmp_path) == ["deep/out/images.h5"]


def test_permissions_are_those_of_any_new_folder(tmp_path: Path) -> None:
    _write_output(tmp_path / "out")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_any_failure_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        _fail_halfway(tmp_path / "out", error)
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_earlier_output(tmp_path: Path) -> None:
    _write_output(tmp_path / "out", "images.h5")
    with pytest.raises(ValueError, match="broken"):
        _fail_halfway(tmp_path / "out", ValueError("broken"))
    assert _tree(tmp_path) == ["out/images.h5", "out/report.json"]


def test_replaces_an_earlier_output_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    _write_output(target, "dicom/slice_000.dcm", "dicom/slice_001.dcm")
    _write_output(target, "dicom/slice_000.dcm")
    assert _tree(tmp_path) == ["out/dicom/slice_000.dcm", "out/report.json"]


def test_fills_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    _write_output(tmp_path / "out", "images.h5")
    assert _tree(tmp_path) == ["out/images.h5", "out/report.json"]


def test_old_output_comes_back_when_the_rename_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    _write_output(target, "images.h5")
    rename = Path.rename

    def fail_for_the_new_folder(self: Path, destination: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(errno.EIO, "input/output error")
        return rename(self, destination)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_folder)
    with pytest.raises(OutputError, match=r"could not be written.*input/output error"):
        _write_output(target, "new.h5")
    assert _tree(tmp_path) == ["out/images.h5", "out/report.json"]


@pytest.mark.parametrize(
    "marker",
    [None, "no json {", '{"other": 1}', '{"knerve_report": 1}', '{"knerve_report": 1, "files": ["report.json"]}'],
)
def test_refuses_files_of_others(tmp_path: Path, marker: str | None) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    if marker is not None:
        (tmp_path / MARKER_FILE).write_text(marker)
    with pytest.raises(OutputError, match=r"already holds files that knerve did not write.*new or empty folder"):
        _write_output(tmp_path, "images.h5")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_refuses_a_stranger_within_an_earlier_output(tmp_path: Path) -> None:
    target = tmp_path / "out"
    _write_output(target, "png/slice_000.png")
    (target / "png" / "my_notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r'"png/my_notes.txt" for one'):
        _write_output(target, "png/slice_000.png")
    assert (target / "png" / "my_notes.txt").exists()


@pytest.mark.parametrize("below", ["", "out", "out/deeper"])
def test_refuses_a_file_in_the_way(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file is a file, but a folder is needed"):
        _write_output(tmp_path / "file" / below)


def test_refuses_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match=r"no permission\. Choose a folder that you may write to"):
        check_target(tmp_path / "out")


@pytest.mark.parametrize("below", ["knee", "deep/knee"])
def test_refuses_a_place_that_only_looks_writable(below: str) -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("this system has no /proc")
    with pytest.raises(OutputError, match=r"could not be written: no (folder can be made there|permission)"):
        check_target(Path("/proc") / below)


def test_says_when_permission_is_refused_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="no permission"):
        _write_output(tmp_path / "out")


def test_checking_writes_nothing(tmp_path: Path) -> None:
    check_target(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_current_folder_is_filled_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    target.mkdir()
    monkeypatch.chdir(target)
    identity = target.stat().st_ino
    _write_output(Path(), "images.h5", "png/slice_000.png")
    _write_output(Path(), "images.h5")
    assert target.stat().st_ino == identity
    assert _tree(tmp_path) == ["out/images.h5", "out/report.json"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("no mount command here")
    if mount.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("below", ["", "out"])
def test_full_disk(small_disk: Path, below: str) -> None:
    with (
        pytest.raises(OutputError, match=r"the disk is full\. Free some space"),
        staged_directory(small_disk / below) as staging,
    ):
        (staging / "images.h5").write_bytes(bytes(2_000_000))
    assert list(small_disk.iterdir()) == []


def test_mount_point_is_filled_in_place(small_disk: Path) -> None:
    _write_output(small_disk, "images.h5")
    _write_output(small_disk, "png/slice_000.png")
    assert _tree(small_disk) == ["png/slice_000.png", "report.json"]


def test_full_disk_without_a_mount(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the disk is full"):
        _fail_halfway(tmp_path / "out", OSError(errno.ENOSPC, "No space left on device"))
    assert list(tmp_path.iterdir()) == []
