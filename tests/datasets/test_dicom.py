"""The DICOM series as others see it: dciodvfy finds no error; SimpleITK and dcm2niix put it where the header says."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch

from knerve.datasets.dicom import write_dicom
from knerve.datasets.dicom_values import UNPAIRED_BODY_PARTS
from knerve.datasets.plane_series import plane_series
from knerve.recon.images import RESEARCH_USE, ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader

nibabel = pytest.importorskip("nibabel", reason="reading dcm2niix's files needs nibabel")
dcm2niix = pytest.importorskip("dcm2niix", reason="a geometry oracle is not installed: pip install dcm2niix")
SimpleITK = pytest.importorskip("SimpleITK", reason="a geometry oracle is not installed: pip install simpleitk")

ROW, COLUMN, NORMAL = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0].T
CENTRE = np.array([31.25, -48.5, 402.125])
DX, DY, GAP = 0.43, 0.61, 3.3
FULL_HEADER = ScanHeader(
    patient_name="Doe^Jane",
    patient_id="P-007",
    patient_birth_date="1980-02-29",
    patient_sex="F",
    patient_weight_kg=71.123456789012345,
    patient_position="FFS",
    study_date="2019-03-14",
    study_time="22:34:35",
    study_id="12",
    study_instance_uid="1.2.276.0.7230010.3.1.2.1787205428.166.1117461927.5",
    accession_number="A1",
    referring_physician="Who^Doctor",
    study_description="Knee navigation",
    body_part="Knee",
    series_date="2019-03-14",
    series_time="22:40:01.5",
    series_description="pd_tse_sag",
    frame_of_reference_uid="1.3.12.2.1107.5.2.43.66022.1.20190314223435.0.0.0",
    initial_series_number=7,
    protocol_name="pd_tse_sag",
    sequence_name="tse2d1_7",
    sequence_type="TurboSpinEcho",
    vendor="SIEMENS",
    model="Prisma",
    device_serial_number="66022",
    field_strength_t=2.89,
    resonance_frequency_hz=123.25e6,
    tr_ms=(3000.0,),
    te_ms=(33.0,),
    ti_ms=(150.0,),
    flip_angle_deg=(150.0,),
    echo_train_length=7,
    sample_time_us=5.0,
)
LONG_HEADER = ScanHeader(
    patient_name="山田^太郎=" + "ü" * 90 + "=" + "b" * 60,
    patient_id="x" * 90,
    study_date="14 March",
    study_time="late",
    accession_number="1234567890123456789",
    referring_physician="a^b^c^d^e^f\\g\n",
    study_instance_uid="1.02.3",
    institution="山" * 80,
    station="Прибор номер один",
    body_part="Knee (left)",
    protocol_name="back\\slash" * 20,
    series_description="é" * 90,
    sequence_type="unheard of",
    patient_sex="X",
    patient_position="sitting",
    te_ms=(float("nan"),),
)


def _series(
    n_slices: int = 5, n_partitions: int | None = None, header: ScanHeader = FULL_HEADER, *, known: bool = True
) -> ImageSeries:
    """An oblique anisotropic stack, or one slab, of positive noise; slices not in spatial order."""
    rng = np.random.default_rng(0)
    ny, nx = 22, 27
    shape = (n_slices, ny, nx) if n_partitions is None else (n_slices, n_partitions, ny, nx)
    frames = tuple(
        Frame(
            slice=index,
            position_mm=tuple(CENTRE + index * GAP * NORMAL),
            read_dir=tuple(ROW),
            phase_dir=tuple(COLUMN),
            slice_dir=tuple(NORMAL),
            geometry_known=True,
        )
        if known
        else Frame(slice=index)
        for index in [*range(0, n_slices, 2), *range(1, n_slices, 2)]
    )
    nz = n_partitions or 1
    fov = (nx * DX, ny * DY, 2.5 * nz)
    return ImageSeries(
        image=torch.tensor(20 * (1 + rng.random(shape)), dtype=torch.complex64),
        frames=frames,
        grid=Grid((2 * nx, ny, nz), (2 * fov[0], fov[1], fov[2]), (nx, ny, nz), fov),
        header=header,
        method="cs",
        noise=NoiseReport("noise readouts", 100, (1.0,), 0.1),
        acceleration=3.0,
        settings={"method": "cs", "regularisation": 1.0},
    )


def _with_bright_pixel(images: ImageSeries, index: tuple[int, ...]) -> ImageSeries:
    image = images.image.clone()
    image[index] = 1000.0
    return replace(images, image=image)


def _head(body_part: str) -> ScanHeader:
    return replace(FULL_HEADER, body_part=body_part)


VARIANTS: dict[str, Callable[[], ImageSeries]] = {
    "oblique": _series,
    "3-D": lambda: _series(1, 6),
    "3-D, left-handed": lambda: replace(
        _series(1, 6), frames=(replace(_series(1).frames[0], slice_dir=tuple(-NORMAL)),)
    ),
    "geometry unknown": lambda: _series(known=False),
    "no header": lambda: _series(header=ScanHeader()),
    "long and non-ASCII": lambda: _series(header=LONG_HEADER),
    "all zero": lambda: replace(_series(), image=torch.zeros_like(_series().image)),
    "no thickness": lambda: replace(_series(), grid=replace(_series().grid, recon_fov_mm=(27 * DX, 22 * DY, 0.0))),
    "gradient echo of the head": lambda: _series(header=replace(_head("HEAD"), sequence_type="Flash", ti_ms=())),
    "Japanese name": lambda: _series(header=replace(FULL_HEADER, patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう")),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_dciodvfy_finds_no_error(tmp_path: Path, variant: str) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    for path in write_dicom(plane_series(VARIANTS[variant]()), tmp_path / "dicom"):
        check = subprocess.run(
            ["dciodvfy", "-new", path], capture_output=True, text=True, check=False, errors="replace"
        )
        complaints = [line for line in (check.stdout + check.stderr).splitlines() if "Error" in line]
        assert complaints == []
        assert "MRImage" in check.stderr


@pytest.mark.parametrize("body_part", [*sorted(UNPAIRED_BODY_PARTS)[::9], "KNEE", "SHOULDER", "WEIRD", ""])
def test_dciodvfy_accepts_every_body_part(tmp_path: Path, body_part: str) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    (path,) = write_dicom(plane_series(_series(1, header=_head(body_part))), tmp_path / "dicom")
    check = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    assert "Error" not in check.stderr
    assert ("Laterality" in pydicom.dcmread(path)) == (body_part not in UNPAIRED_BODY_PARTS)


def _expected_mm(entry: int, y: int, x: int, partition: int = 0, n_partitions: int = 1) -> np.ndarray:
    """Where the raw header puts a pixel (LPS), written down independently of the writers."""
    order = [0, 2, 4, 1, 3]
    centre = CENTRE + order[entry] * GAP * NORMAL + (partition - n_partitions // 2) * 2.5 * NORMAL
    return centre + (x - 27 // 2) * DX * ROW + (y - 22 // 2) * DY * COLUMN


PIXELS = [(0, 0, 0), (1, 21, 0), (2, 0, 26), (3, 11, 13), (4, 21, 26)]


@pytest.mark.parametrize("pixel", PIXELS)
def test_simpleitk_places_every_pixel(tmp_path: Path, pixel: tuple[int, int, int]) -> None:
    write_dicom(plane_series(_with_bright_pixel(_series(), pixel)), tmp_path / "dicom")
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "dicom")))
    volume = reader.Execute()
    values = SimpleITK.GetArrayFromImage(volume)
    z, y, x = (int(i) for i in np.unravel_index(values.argmax(), values.shape))
    found = volume.TransformIndexToPhysicalPoint((x, y, z))
    np.testing.assert_allclose(found, _expected_mm(*pixel), atol=0.01)
    np.testing.assert_allclose(values.max(), 1000.0, rtol=1e-5)


def _dcm2niix(folder: Path, out: Path) -> Any:
    out.mkdir()
    subprocess.run([dcm2niix.bin, "-z", "n", "-f", "volume", "-o", out, folder], check=True, capture_output=True)
    (path,) = out.glob("*.nii")
    return nibabel.load(path)


def _brightest_mm(volume: Any) -> np.ndarray:
    """LPS coordinates of the brightest voxel."""
    values = volume.get_fdata()
    index = np.unravel_index(values.argmax(), values.shape)
    return (volume.affine @ [*index, 1.0])[:3] * [-1.0, -1.0, 1.0]


@pytest.mark.parametrize("pixel", PIXELS)
def test_dcm2niix_places_every_pixel(tmp_path: Path, pixel: tuple[int, int, int]) -> None:
    write_dicom(plane_series(_with_bright_pixel(_series(), pixel)), tmp_path / "dicom")
    volume = _dcm2niix(tmp_path / "dicom", tmp_path / "nifti")
    np.testing.assert_allclose(_brightest_mm(volume), _expected_mm(*pixel), atol=0.01)
    np.testing.assert_allclose(sorted(volume.header.get_zooms()), sorted((DX, DY, GAP)), atol=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("partition", [0, 5])
def test_partitions_of_a_slab_lie_along_slice_dir(tmp_path: Path, partition: int, sign: float) -> None:
    images = _with_bright_pixel(_series(1, 6), (0, partition, 3, 4))
    images = replace(images, frames=(replace(images.frames[0], slice_dir=tuple(sign * NORMAL)),))
    write_dicom(plane_series(images), tmp_path / "dicom")
    expected = _expected_mm(0, 3, 4) + sign * (partition - 3) * 2.5 * NORMAL
    np.testing.assert_allclose(_brightest_mm(_dcm2niix(tmp_path / "dicom", tmp_path / "nifti")), expected, atol=0.01)


def test_pixel_values_return(tmp_path: Path) -> None:
    images = _series()
    for path, values in zip(
        write_dicom(plane_series(images), tmp_path / "dicom"), images.magnitude.numpy(), strict=True
    ):
        file = pydicom.dcmread(path)
        read = file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)
        np.testing.assert_allclose(read, values, atol=0.51 * float(file.RescaleSlope))
        assert float(file.RescaleSlope) * 65535 == pytest.approx(images.magnitude.max().item(), rel=1e-6)


def test_what_the_header_says_is_carried_onwards(tmp_path: Path) -> None:
    file = pydicom.dcmread(write_dicom(plane_series(_series()), tmp_path / "dicom")[1])
    assert file.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert file.SOPClassUID == pydicom.uid.MRImageStorage
    assert (file.PatientName, file.PatientID, file.PatientBirthDate, file.PatientSex) == (
        "Doe^Jane",
        "P-007",
        "19800229",
        "F",
    )
    assert (file.StudyDate, file.StudyTime, file.SeriesTime) == ("20190314", "223435", "224001.500000")
    assert file.StudyInstanceUID == FULL_HEADER.study_instance_uid
    assert file.FrameOfReferenceUID == FULL_HEADER.frame_of_reference_uid
    assert (file.SeriesNumber, file.InstanceNumber) == (7, 2)
    assert (file.ScanningSequence, file.SequenceVariant, file.MRAcquisitionType) == (["SE", "IR"], "SK", "2D")
    assert (file.EchoTime, file.RepetitionTime, file.InversionTime, file.EchoTrainLength) == (33, 3000, 150, 7)
    assert file.PixelBandwidth == pytest.approx(1e6 / (5.0 * 54))
    assert file.PixelSpacing == pytest.approx([DY, DX])
    assert file.SliceThickness == 2.5
    assert file.SpacingBetweenSlices == pytest.approx(GAP)
    assert file.SeriesDescription == "pd_tse_sag knerve cs"


def test_derived_and_for_research(tmp_path: Path) -> None:
    file = pydicom.dcmread(write_dicom(plane_series(_series()), tmp_path / "dicom")[0])
    assert file.ImageType == ["DERIVED", "PRIMARY", "M"]
    assert file.ContentQualification == "RESEARCH"
    assert file.ImageComments.startswith(RESEARCH_USE)
    assert "compressed sensing" in file.DerivationDescription
    assert "regularisation=1.0" in file.DerivationDescription
    assert (file.BurnedInAnnotation, file.LossyImageCompression) == ("NO", "00")


def test_unknown_geometry_is_said(tmp_path: Path) -> None:
    file = pydicom.dcmread(write_dicom(plane_series(_series(known=False)), tmp_path / "dicom")[0])
    assert file.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert "Geometry unknown" in file.ImageComments
    known = pydicom.dcmread(write_dicom(plane_series(_series()), tmp_path / "known")[0])
    assert "Geometry unknown" not in known.ImageComments


def test_contrast_times_follow_the_contrast(tmp_path: Path) -> None:
    images = _series(2, header=replace(FULL_HEADER, te_ms=(10.0, 90.0)))
    images = replace(images, frames=(images.frames[0], replace(images.frames[0], contrast=1)))
    files = [pydicom.dcmread(path) for path in write_dicom(plane_series(images), tmp_path / "dicom")]
    assert [(file.EchoTime, file.EchoNumbers, file.RepetitionTime) for file in files] == [(10, 1, 3000), (90, 2, 3000)]


def _identifiers(folder: Path, images: ImageSeries) -> tuple[str, str, str, tuple[str, ...]]:
    files = [pydicom.dcmread(path) for path in write_dicom(plane_series(images), folder)]
    first = files[0]
    instances = tuple(file.SOPInstanceUID for file in files)
    return first.StudyInstanceUID, first.FrameOfReferenceUID, first.SeriesInstanceUID, instances


def test_same_images_give_the_same_files(tmp_path: Path) -> None:
    first = write_dicom(plane_series(_series(header=ScanHeader())), tmp_path / "a")
    second = write_dicom(plane_series(_series(header=ScanHeader())), tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_another_reconstruction_is_another_series_in_the_same_place(tmp_path: Path) -> None:
    header = replace(FULL_HEADER, study_instance_uid="", frame_of_reference_uid="not one")
    images = _series(header=header)
    study, place, series, instances = _identifiers(tmp_path / "a", images)
    other_study, other_place, other_series, other_instances = _identifiers(
        tmp_path / "b", replace(images, method="sense", image=images.image * 0.9)
    )
    assert (study, place) == (other_study, other_place)
    assert series != other_series
    assert not set(instances) & set(other_instances)
    assert len(set(instances)) == 5
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in (study, place, series, *instances))


def test_scans_without_any_name_are_not_mixed_up(tmp_path: Path) -> None:
    images = _series(header=ScanHeader())
    assert (
        _identifiers(tmp_path / "a", images)[0]
        != _identifiers(tmp_path / "b", _with_bright_pixel(images, (0, 0, 0)))[0]
    )
