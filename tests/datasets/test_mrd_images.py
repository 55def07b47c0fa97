"""images.h5 as others read it: the ismrmrd package gives back headers, attributes and pixels."""

from dataclasses import replace
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest
import torch

from knerve.datasets.mrd_images import write_mrd_images
from knerve.datasets.plane_series import plane_series
from knerve.recon.images import RESEARCH_USE, ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader

ROW, COLUMN, NORMAL = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0].T


def _series(shape: tuple[int, ...]) -> ImageSeries:
    """Oblique noise of the given shape, one repetition an entry, two contrasts."""
    rng = np.random.default_rng(0)
    ny, nx = shape[-2:]
    nz = shape[1] if len(shape) == 4 else 1
    frames = tuple(
        Frame(
            slice=index,
            contrast=index % 2,
            repetition=index,
            position_mm=tuple(10.0 + 3.3 * index * NORMAL),
            read_dir=tuple(ROW),
            phase_dir=tuple(COLUMN),
            slice_dir=tuple(NORMAL),
            table_position_mm=(0.0, 0.0, -1200.0),
            geometry_known=True,
            acquisition_time_stamp=1000 + index,
        )
        for index in range(shape[0])
    )
    fov = (nx * 0.4, ny * 0.5, 3.0 * nz)
    return ImageSeries(
        image=torch.tensor(rng.normal(size=shape) + 1j * rng.normal(size=shape), dtype=torch.complex64),
        frames=frames,
        grid=Grid((2 * nx, ny, nz), (2 * fov[0], fov[1], fov[2]), (nx, ny, nz), fov),
        header=ScanHeader(protocol_name="pd_tse\x07 <&> Knie", te_ms=(20.0, 80.5), ti_ms=(150.0,)),
        method="cs",
        noise=NoiseReport("noise readouts", 100, (1.0,), 0.1),
        acceleration=3.0,
        settings={"regularisation": 1.0},
    )


def _written(path: Path, images: ImageSeries, name: str, **options: bool) -> list[ismrmrd.Image]:
    write_mrd_images(plane_series(images), path, **options)
    with ismrmrd.Dataset(str(path), "dataset", mode="r") as dataset:
        return [dataset.read_image(name, index) for index in range(dataset.number_of_images(name))]


@pytest.mark.parametrize("shape", [(3, 6, 8), (2, 4, 6, 8)])
def test_ismrmrd_reads_magnitude_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = _series(shape)
    read = _written(tmp_path / "images.h5", images, "image_0")
    expected = images.magnitude.numpy().reshape(shape[0], 1, -1, *shape[-2:])
    np.testing.assert_array_equal([image.data for image in read], expected)
    assert all(image.data.dtype == np.float32 for image in read)
    nz = expected.shape[2]
    assert [image.matrix_size for image in read] == [(8, 6, nz)] * shape[0]


def test_header_of_each_image(tmp_path: Path) -> None:
    images = _series((3, 6, 8))
    for index, image in enumerate(_written(tmp_path / "images.h5", images, "image_0")):
        head = image.getHead()
        np.testing.assert_allclose(head.position, images.frames[index].position_mm, rtol=1e-6)
        np.testing.assert_allclose(
            [*head.read_dir, *head.phase_dir, *head.slice_dir], [*ROW, *COLUMN, *NORMAL], atol=1e-6
        )
        np.testing.assert_allclose(head.field_of_view, images.grid.recon_fov_mm, rtol=1e-6)
        assert (head.slice, head.contrast, head.repetition) == (index, index % 2, index)
        assert (head.image_index, head.image_series_index, head.image_type) == (index + 1, 0, ismrmrd.IMTYPE_MAGNITUDE)
        assert head.data_type == ismrmrd.DATATYPE_FLOAT
        assert head.acquisition_time_stamp == 1000 + index
        assert list(head.patient_table_position) == [0.0, 0.0, -1200.0]


def test_attributes_of_each_image(tmp_path: Path) -> None:
    first, second, _ = (image.meta for image in _written(tmp_path / "images.h5", _series((3, 6, 8)), "image_0"))
    assert first["DataRole"] == "Image"
    assert first["SeriesDescription"] == "pd_tse <&> Knie knerve cs"
    assert first["ImageComments"].startswith(RESEARCH_USE)
    assert "compressed sensing" in first["ImageComments"]
    assert first["ImageProcessingHistory"] == ["knerve", "cs"]
    assert (first["EchoTime"], second["EchoTime"]) == ("20.0", "80.5")
    assert first["InversionTime"] == "150.0"
    assert "InversionTime" not in second
    for name, direction in (("ImageRowDir", ROW), ("ImageColumnDir", COLUMN), ("ImageSliceDir", NORMAL)):
        np.testing.assert_allclose([float(value) for value in first[name]], direction, atol=1e-14)
        assert all(len(value.partition(".")[2]) >= 12 for value in first[name])


def test_attribute_length_counts_bytes(tmp_path: Path) -> None:
    images = _series((1, 6, 8))
    images = replace(images, header=replace(images.header, protocol_name="膝 Knie"))
    write_mrd_images(plane_series(images), tmp_path / "images.h5")
    with h5py.File(tmp_path / "images.h5") as file:
        group = file["dataset/image_0"]
        assert group["header"][0]["attribute_string_len"] == len(group["attributes"][0])


def test_complex_images_on_request_only(tmp_path: Path) -> None:
    images = _series((3, 6, 8))
    write_mrd_images(plane_series(images), tmp_path / "plain.h5")
    with h5py.File(tmp_path / "plain.h5") as file:
        assert list(file["dataset"]) == ["image_0"]
    read = _written(tmp_path / "complex.h5", images, "image_1", complex_images=True)
    np.testing.assert_array_equal([image.data[0, 0] for image in read], images.image.numpy())
    assert [image.image_type for image in read] == [ismrmrd.IMTYPE_COMPLEX] * 3
    assert [image.image_series_index for image in read] == [1] * 3


def test_unknown_geometry_is_said_and_never_zero(tmp_path: Path) -> None:
    images = replace(_series((1, 6, 8)), frames=(Frame(),))
    (image,) = _written(tmp_path / "images.h5", images, "image_0")
    assert list(image.read_dir) == [1.0, 0.0, 0.0]
    assert "Geometry unknown" in image.meta["ImageComments"]
