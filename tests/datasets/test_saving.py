"""Saving as a whole: one complete folder, or a clear error and nothing at all."""

import errno
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from knerve.datasets import saving
from knerve.datasets.output_formats import FORMATS, check_output
from knerve.datasets.provenance import plain_text, series_description
from knerve.datasets.saving import save_images
from knerve.recon.errors import OutputError
from knerve.recon.images import RESEARCH_USE, ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader


@pytest.fixture
def images() -> ImageSeries:
    """Two slices of noise."""
    values = np.random.default_rng(0).normal(size=(2, 24, 20)) + 10
    return ImageSeries(
        image=torch.tensor(values, dtype=torch.complex64),
        frames=tuple(
            Frame(slice=index, position_mm=(0.0, 0.0, 3.0 * index), geometry_known=True) for index in range(2)
        ),
        grid=Grid((40, 24, 1), (40.0, 24.0, 3.0), (20, 24, 1), (20.0, 24.0, 3.0)),
        header=ScanHeader(protocol_name="pd_tse"),
        method="cs",
        noise=NoiseReport("noise readouts", 100, (1.0,), 0.1),
        acceleration=1.0,
        notes=("a note",),
    )


def _tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


BASIC = [
    "dicom/slice_000.dcm",
    "dicom/slice_001.dcm",
    "images.h5",
    "png/contact_sheet.png",
    "png/slice_000.png",
    "png/slice_001.png",
    "report.html",
    "report.json",
]


def test_everything_in_one_folder(tmp_path: Path, images: ImageSeries) -> None:
    written = save_images(images, tmp_path / "out", source="/data/raw.h5")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == BASIC
    assert _tree(tmp_path) == [f"out/{name}" for name in BASIC]
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["files"] == BASIC
    assert report["source"] == "raw.h5"
    assert report["notes"] == ["a note"]


def test_all_formats_and_complex_images(tmp_path: Path, images: ImageSeries) -> None:
    save_images(images, tmp_path / "out", formats=FORMATS, complex_images=True)
    assert _tree(tmp_path / "out") == sorted([*BASIC, "nifti/image.json", "nifti/image.nii.gz"])
    with h5py.File(tmp_path / "out" / "images.h5") as file:
        assert list(file["dataset"]) == ["image_0", "image_1"]


def test_report_alone(tmp_path: Path, images: ImageSeries) -> None:
    save_images(images, str(tmp_path / "out"), formats=frozenset())
    assert _tree(tmp_path / "out") == ["report.html", "report.json"]


def test_saving_again_replaces(tmp_path: Path, images: ImageSeries) -> None:
    save_images(images, tmp_path / "out", formats=FORMATS)
    save_images(replace(images, image=images.image[:1], frames=images.frames[:1]), tmp_path / "out")
    assert _tree(tmp_path) == [f"out/{name}" for name in BASIC if "001" not in name]


def test_notes_of_writers_reach_the_report(tmp_path: Path, images: ImageSeries) -> None:
    frames = (images.frames[0], replace(images.frames[1], read_dir=(0.0, 1.0, 0.0), phase_dir=(1.0, 0.0, 0.0)))
    save_images(replace(images, frames=frames), tmp_path / "out", formats=frozenset({"nifti"}))
    notes = json.loads((tmp_path / "out" / "report.json").read_text())["notes"]
    assert any("not parallel" in note for note in notes)


def test_every_format_says_research_use(tmp_path: Path, images: ImageSeries) -> None:
    for path in save_images(images, tmp_path / "out"):
        assert RESEARCH_USE.encode() in path.read_bytes(), path.name


def test_files_do_not_depend_on_the_number_of_threads(tmp_path: Path, images: ImageSeries) -> None:
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 4):
            torch.set_num_threads(n_threads)
            save_images(images, tmp_path / str(n_threads), formats=FORMATS)
    finally:
        torch.set_num_threads(before)
    assert _tree(tmp_path / "1") == _tree(tmp_path / "4")
    for name in BASIC:
        if not name.startswith("report"):  # which tells the time
            assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "4" / name).read_bytes(), name


def test_a_slow_writer_has_ended_before_its_failed_neighbour_is_told(
    tmp_path: Path, images: ImageSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    def write_late(_: object, folder: Path) -> None:
        time.sleep(0.1)
        folder.mkdir()  # would come back to life if the hidden folder were removed before

    monkeypatch.setattr(saving, "write_png", fail)
    monkeypatch.setattr(saving, "write_dicom", write_late)
    with pytest.raises(OutputError, match="input/output error"):
        save_images(images, tmp_path / "out")
    time.sleep(0.2)
    assert list(tmp_path.iterdir()) == []


def test_unknown_format(tmp_path: Path, images: ImageSeries) -> None:
    with pytest.raises(OutputError, match="output format jpeg is unknown; choose from dicom, mrd, nifti, png"):
        save_images(images, tmp_path / "out", formats=frozenset({"jpeg"}))


def test_broken_values_are_not_saved(tmp_path: Path, images: ImageSeries) -> None:
    image = images.image.clone()
    image[0, 3, 4] = torch.tensor(complex(1.0, float("nan")))
    image[1, 0, 0] = float("inf")
    with pytest.raises(OutputError, match="2 of 960 pixels are not finite"):
        save_images(replace(images, image=image), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_refusals_come_before_the_reconstruction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file, but a folder is needed"):
        check_output(tmp_path / "file" / "out")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(OutputError, match=r"pip install nibabel"):
        check_output(tmp_path / "out", frozenset({"nifti"}))


@pytest.mark.parametrize("size_kb", [8, 24, 40, 52, 64, 80, 96])
def test_full_disk_at_any_moment(tmp_path: Path, images: ImageSeries, size_kb: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("no mount command here")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a small file system")
    try:
        with pytest.raises(OutputError, match=r"out could not be written: the disk is full\."):
            save_images(images, disk / "out", formats=FORMATS, complex_images=True)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.usefixtures("full_device_for_images")
def test_full_disk_leaves_nothing(tmp_path: Path, images: ImageSeries) -> None:
    with pytest.raises(OutputError, match="the disk is full"):
        save_images(images, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full_device_for_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write `images.h5` to a device that is always full, after DICOM and PNG would have succeeded."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    write = Path.write_bytes

    def to_full_device(self: Path, content: bytes) -> int:
        return write(Path("/dev/full") if self.name == "images.h5" else self, content)

    monkeypatch.setattr(Path, "write_bytes", to_full_device)


@pytest.mark.parametrize("writer", ["write_mrd_images", "write_dicom", "write_png", "report_figures", "snr_summary"])
def test_failure_of_a_writer_leaves_the_earlier_output(
    tmp_path: Path, images: ImageSeries, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    save_images(images, tmp_path / "out")
    before = (tmp_path / "out" / "report.json").read_bytes()

    def fail(*_: object, **_options: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(saving, writer, fail)
    with pytest.raises(OutputError, match="could not be written"):
        save_images(images, tmp_path / "out")
    assert (tmp_path / "out" / "report.json").read_bytes() == before
    assert _tree(tmp_path) == [f"out/{name}" for name in BASIC]


def test_series_description_keeps_the_method(images: ImageSeries) -> None:
    long = replace(images, header=ScanHeader(series_description="x" * 100))
    assert series_description(long, 64) == "x" * 54 + " knerve cs"
    assert series_description(replace(images, header=ScanHeader()), 64) == "knerve cs"


def test_plain_text() -> None:
    assert plain_text(" a\tb\nc\x00\x1b\ud800é ") == "a b cé"
