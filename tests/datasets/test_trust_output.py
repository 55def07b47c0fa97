"""Trust maps as they leave: series in DICOM and images.h5, pictures and numbers in the report; and the marks of the method."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ismrmrd
import numpy as np
import pydicom
import pytest
import torch

from knerve.datasets.dicom import write_dicom
from knerve.datasets.dicom_method import CREATOR, DETAILS, FACTOR, GROUP, IS_DEEP_LEARNING
from knerve.datasets.line_chart import line_chart
from knerve.datasets.nifti import write_nifti
from knerve.datasets.plane_series import plane_series
from knerve.datasets.saving import save_images
from knerve.datasets.trust_section import trust_section
from knerve.recon.images import ImageSeries, NoiseReport
from knerve.recon.learned.maps.captions import MAPS, described, moved_maps, noise_alone
from knerve.recon.learned.maps.held_out import HeldOut
from knerve.recon.learned.maps.results import LineFit, SliceTrust, TrustMaps
from knerve.recon.scan import Frame, Grid, ScanHeader

SHAPE = (2, 24, 20)


def series(method: str = "dl", vendor: str = "Siemens") -> ImageSeries:
    values = 30 + 5 * np.random.default_rng(0).normal(size=SHAPE)
    return ImageSeries(
        image=torch.tensor(values, dtype=torch.complex64),
        frames=tuple(Frame(slice=s, position_mm=(0.0, 0.0, 3.0 * s), geometry_known=True) for s in range(SHAPE[0])),
        grid=Grid((20, 24, 1), (20.0, 24.0, 3.0), (20, 24, 1), (20.0, 24.0, 3.0)),
        header=ScanHeader(protocol_name="t2_tse", vendor=vendor, patient_id="x", study_date="2026-11-21"),
        method=method,
        noise=NoiseReport("noise readouts", 100, (1.0,), 0.1),
        acceleration=4.5,
    )


def trust() -> TrustMaps:
    random = torch.Generator().manual_seed(1)
    values = {key: torch.rand(SHAPE, generator=random) for key in MAPS}
    values["at_bound"] = (values["at_bound"] > 0.9).float()
    lines = LineFit(torch.tensor([0.9, 0.0, 1.9, 1.1, 0.0, 0.8]), torch.tensor([1, 0, 1, 1, 0, 1]).bool())
    one = SliceTrust(
        method="dl",
        reference="cs",
        at_bound=0.001,
        lines=lines,
        reference_lines=lines,
        prior_energy=0.02,
        gain=(0.71, 0.52),
        reference_gain=(0.74, 0.53),
        width=(3.16, 2.22),
        interval=0.87,
        held_out=HeldOut(5, 0.138, 0.141, 0.107),
    )
    slices = (one, replace(one, gain=None, reference_gain=None, width=None, held_out=None))
    return TrustMaps(described(values, slices), slices, seconds={"response": 3.0})


def test_every_map_is_a_dicom_series_with_its_values(tmp_path: Path) -> None:
    maps = trust()
    save_images(series(), tmp_path / "out", formats=frozenset({"dicom"}), trust=maps)
    seen = {pydicom.dcmread(tmp_path / "out/dicom/slice_000.dcm").SeriesInstanceUID}
    numbers = {1}
    for shown in maps.maps:
        files = [pydicom.dcmread(path) for path in sorted((tmp_path / "out/dicom_maps" / shown.key).iterdir())]
        for file, values in zip(files, shown.values.numpy(), strict=True):
            stored = file.pixel_array * float(file.RescaleSlope)
            np.testing.assert_allclose(stored, values, atol=float(shown.values.max()) / 65535)
            assert list(file.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
            assert shown.title[:40] in file.SeriesDescription
            assert shown.unit in file.DerivationDescription
            assert float(file.WindowWidth) == pytest.approx(shown.top, rel=1e-4)
        seen.add(files[0].SeriesInstanceUID)
        numbers.add(int(files[0].SeriesNumber))
    assert len(seen) == len(numbers) == len(maps.maps) + 1


def test_dciodvfy_finds_no_error_in_maps(tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    save_images(series(vendor="GE MEDICAL SYSTEMS"), tmp_path / "out", formats=frozenset({"dicom"}), trust=trust())
    for path in (tmp_path / "out/dicom/slice_000.dcm", tmp_path / "out/dicom_maps/gain/slice_000.dcm"):
        check = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        assert [line for line in (check.stdout + check.stderr).splitlines() if "Error" in line] == []


def test_maps_follow_the_images_in_images_h5(tmp_path: Path) -> None:
    maps = trust()
    save_images(series(), tmp_path / "out", formats=frozenset({"mrd"}), complex_images=True, trust=maps)
    with ismrmrd.Dataset(str(tmp_path / "out/images.h5"), "dataset", mode="r") as dataset:
        for number, shown in enumerate(maps.maps):
            image = dataset.read_image(f"image_{2 + number}", 1)
            np.testing.assert_array_equal(image.data[0, 0], shown.values[1].numpy())
            about = ismrmrd.Meta.deserialize(image.attribute_string)
            assert (about["KnerveMap"], about["Unit"]) == (shown.key, shown.unit)
            assert shown.title in about["SeriesDescription"]
        assert dataset.read_image("image_0", 0).data.shape == (1, 1, 24, 20)


def test_the_report_shows_and_tells(tmp_path: Path) -> None:
    save_images(series(), tmp_path / "out", formats=frozenset(), trust=trust())
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    for key, (title, _, _, caption) in MAPS.items():
        assert (title in page) == (key != "noise")
        assert (caption[:60] in page) == (key != "noise")
    assert "predicted better on 1, alike on 0, worse on 0 of 1 slices" in page
    assert page.count('<rect class="beyond"') == 1
    assert page.count('<rect class="line"') == 3
    assert "0.71 (0.74)" in page
    assert "0.52 (0.53)" in page
    assert "3.16 × 2.22 px" in page
    assert "0.138 (0.141)" in page
    document = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    first, second = document["trust"]["slices"]
    assert first["held_out"]["verdict"] == "better"
    assert first["lines_beyond_gate"] == 1
    assert second["held_out"] is None
    assert document["trust"]["seconds"] == {"response": 3.0}


def test_without_maps_nothing_of_them_is_written_or_loaded(tmp_path: Path) -> None:
    save_images(series(), tmp_path / "out")
    assert not (tmp_path / "out/dicom_maps").exists()
    assert "How far to trust" not in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "trust" not in json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    code = "import sys, knerve.datasets.saving; print([m for m in sys.modules if '.maps' in m or 'trust' in m])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_sections_of_maps_without_numbers() -> None:
    laid_out = plane_series(series("denoise"))
    section = trust_section(laid_out, moved_maps(torch.ones(SHAPE), torch.zeros(SHAPE)))
    assert "How far each pixel moved" in section
    assert "All slices" not in section
    assert trust_section(laid_out, noise_alone(torch.ones(SHAPE))) == ""
    assert trust_section(laid_out, TrustMaps((), ())) == ""


def test_bars_beyond_the_gate_stand_out_and_tall_ones_are_cut() -> None:
    chart = line_chart(np.array([1.0, 50.0, 1.2, 0.0], np.float32), np.array([True, True, True, False]), 1.3)
    assert chart.count("<rect") == 3
    assert chart.count('class="beyond"') == 1
    assert 'y="8.0"' in chart  # the top of the chart
    assert "ky = 0" in chart


@pytest.mark.parametrize(("method", "deep", "factor"), [("dl", "YES", 4.5), ("cs", "NO", 4.5), ("sense", None, None)])
def test_dicom_says_how_the_image_was_made(tmp_path: Path, method: str, deep: str | None, factor: float | None) -> None:
    file = pydicom.dcmread(write_dicom(plane_series(series(method)), tmp_path / "dicom")[0])
    if deep is None:
        assert GROUP not in {element.tag.group for element in file}
        return
    own = file.private_block(GROUP, CREATOR)
    assert own[IS_DEEP_LEARNING].value == deep
    assert float(own[FACTOR].value) == factor
    assert ("knerve" in own[DETAILS].value) == (deep == "YES")


@pytest.mark.parametrize(("vendor", "understood"), [("GE MEDICAL SYSTEMS", True), ("Siemens", False)])
def test_dcm2niix_understands_what_its_vendor_allows(tmp_path: Path, vendor: str, understood: bool) -> None:
    dcm2niix = pytest.importorskip("dcm2niix", reason="the oracle is not installed: pip install dcm2niix")
    write_dicom(plane_series(series(vendor=vendor)), tmp_path / "dicom")
    (tmp_path / "nifti").mkdir()
    command = [dcm2niix.bin, "-z", "n", "-f", "v", "-o", tmp_path / "nifti", tmp_path / "dicom"]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads((tmp_path / "nifti/v.json").read_text(encoding="utf-8"))
    assert found.get("DeepLearning", False) is understood
    assert found.get("CompressedSensingFactor") == (4.5 if understood else None)
    assert ("knerve" in found.get("DeepLearningDetails", "")) is understood


@pytest.mark.parametrize("method", ["dl", "cs", "sense"])
def test_nifti_has_the_keys_beside_it(tmp_path: Path, method: str) -> None:
    pytest.importorskip("nibabel", reason="NIfTI output needs nibabel")
    assert write_nifti(plane_series(series(method)), tmp_path / "nifti") == ()
    beside = tmp_path / "nifti" / "image.json"
    assert beside.is_file() == (method != "sense")
    if beside.is_file():
        keys = json.loads(beside.read_text(encoding="utf-8"))
        assert keys["CompressedSensingFactor"] == 4.5
        assert keys.get("DeepLearning", False) == (method == "dl")
