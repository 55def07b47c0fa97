"""NIfTI volumes: every voxel where dcm2niix puts it, one file a volume, and a clear word when nibabel is missing."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from knerve.datasets.dicom import write_dicom
from knerve.datasets.nifti import UNEVEN_STACK, write_nifti
from knerve.datasets.plane_series import plane_series
from knerve.recon.errors import OutputError
from knerve.recon.images import ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader

nibabel = pytest.importorskip("nibabel", reason="NIfTI needs nibabel: pip install nibabel")
dcm2niix = pytest.importorskip("dcm2niix", reason="the geometry oracle is not installed: pip install dcm2niix")

ROW, COLUMN, NORMAL = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0].T
GAP = 3.3


def _frame(index: int, **changes: Any) -> Frame:
    frame = Frame(
        slice=index,
        position_mm=tuple(np.array([12.5, -40.0, 88.0]) + index * GAP * NORMAL),
        read_dir=tuple(ROW),
        phase_dir=tuple(COLUMN),
        slice_dir=tuple(NORMAL),
        geometry_known=True,
    )
    return replace(frame, **changes)


def _series(frames: tuple[Frame, ...], n_partitions: int | None = None) -> ImageSeries:
    """Positive noise, so that every voxel is recognisable by its value."""
    ny, nx, nz = 14, 17, n_partitions or 1
    shape = (len(frames), ny, nx) if n_partitions is None else (len(frames), nz, ny, nx)
    fov = (nx * 0.43, ny * 0.61, 2.5 * nz)
    return ImageSeries(
        image=torch.tensor(1 + 50 * np.random.default_rng(0).random(shape), dtype=torch.complex64),
        frames=frames,
        grid=Grid((nx, ny, nz), fov, (nx, ny, nz), fov),
        header=ScanHeader(),
        method="sense",
        noise=NoiseReport("noise readouts", 100, (1.0,), 0.1),
        acceleration=2.0,
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.nii.gz"))


def _sorted_by_value(volume: Any) -> tuple[np.ndarray, np.ndarray]:
    """All values in ascending order, and the RAS coordinates of each."""
    values = volume.get_fdata()
    order = values.argsort(axis=None)
    index = np.stack(np.unravel_index(order, values.shape))
    return values.ravel()[order], (volume.affine[:3, :3] @ index + volume.affine[:3, 3:]).T


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(_series(tuple(_frame(index) for index in (3, 0, 2, 1))), id="stack in any order"),
        pytest.param(_series((_frame(0),), 5), id="slab"),
        pytest.param(_series((_frame(0, slice_dir=tuple(-NORMAL)),), 5), id="left-handed slab"),
    ],
)
def test_every_voxel_lies_where_dcm2niix_puts_it(tmp_path: Path, images: ImageSeries) -> None:
    assert write_nifti(plane_series(images), tmp_path / "ours") == ()
    write_dicom(plane_series(images), tmp_path / "dicom")
    (tmp_path / "theirs").mkdir()
    command = [dcm2niix.bin, "-z", "n", "-f", "volume", "-o", tmp_path / "theirs", tmp_path / "dicom"]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = (tmp_path / "theirs").glob("*.nii")
    values, places = _sorted_by_value(nibabel.load(tmp_path / "ours" / "image.nii.gz"))
    their_values, their_places = _sorted_by_value(nibabel.load(path))
    np.testing.assert_allclose(values, their_values, atol=2e-3)
    clear = np.diff(values, prepend=0) > 5e-3  # neighbours in value may change places through DICOM's 16 bits
    clear[:-1] &= clear[1:]
    assert clear.sum() > 300
    np.testing.assert_allclose(places[clear], their_places[clear], atol=0.01)


def test_values_and_qform(tmp_path: Path) -> None:
    images = _series(tuple(_frame(index) for index in (1, 0)))
    write_nifti(plane_series(images), tmp_path / "nifti")
    volume = nibabel.load(tmp_path / "nifti" / "image.nii.gz")
    np.testing.assert_array_equal(volume.get_fdata()[:, :, 0].T, images.magnitude[1].numpy())
    np.testing.assert_allclose(volume.get_qform(), volume.get_sform(), atol=1e-4)
    assert (int(volume.header["qform_code"]), int(volume.header["sform_code"])) == (1, 1)
    assert volume.get_data_dtype() == np.float32
    assert b"research use only" in bytes(volume.header["descrip"])


def test_one_file_a_volume(tmp_path: Path) -> None:
    frames = tuple(
        _frame(index, repetition=rep, contrast=con) for rep in (0, 1) for con in (0, 1) for index in range(3)
    )
    write_nifti(plane_series(_series(frames)), tmp_path / "nifti")
    assert _names(tmp_path / "nifti") == [
        f"image_repetition{rep:03d}_contrast{con:03d}.nii.gz" for rep in (0, 1) for con in (0, 1)
    ]
    volume = nibabel.load(tmp_path / "nifti" / "image_repetition001_contrast000.nii.gz")
    np.testing.assert_array_equal(volume.get_fdata()[:, :, 2].T, _series(frames).magnitude[8].numpy())


def test_slabs_are_volumes(tmp_path: Path) -> None:
    write_nifti(plane_series(_series((_frame(0), _frame(4)), 3)), tmp_path / "nifti")
    assert _names(tmp_path / "nifti") == ["image_slab000.nii.gz", "image_slab001.nii.gz"]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(_frame(5), id="uneven"),
        pytest.param(_frame(2, read_dir=tuple(COLUMN), phase_dir=tuple(-ROW)), id="turned"),
    ],
)
def test_uneven_slices_are_files_of_their_own(tmp_path: Path, odd: Frame) -> None:
    assert write_nifti(plane_series(_series((_frame(0), _frame(1), odd))), tmp_path / "nifti") == (UNEVEN_STACK,)
    assert _names(tmp_path / "nifti") == [f"image_slice{index:03d}.nii.gz" for index in range(3)]


def test_unknown_geometry_claims_no_coordinates(tmp_path: Path) -> None:
    write_nifti(plane_series(_series((Frame(slice=0), Frame(slice=1)))), tmp_path / "nifti")
    header = nibabel.load(tmp_path / "nifti" / "image.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (0, 0)
    assert header.get_zooms() == pytest.approx((0.43, 0.61, 2.5))


def test_missing_nibabel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(OutputError, match=r"nibabel is not installed; run: pip install nibabel"):
        write_nifti(plane_series(_series((_frame(0),))), tmp_path / "nifti")
    assert not (tmp_path / "nifti").exists()
