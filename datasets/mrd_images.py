"""Images as ISMRMRD (MRD) HDF5: group `dataset`, `image_0` = magnitude; on request `image_1` = complex, `image_2`, ... = maps."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import ismrmrd
import numpy as np
from ismrmrd.hdf5 import image_header_dtype
from numpy.typing import NDArray

from knerve.datasets.map_series import MapLabel, map_label, map_series
from knerve.datasets.plane_series import PlaneSeries
from knerve.datasets.provenance import comments, plain_text, series_description
from knerve.datasets.slice_planes import Plane
from knerve.recon.images import ImageSeries

if TYPE_CHECKING:
    from knerve.recon.learned.maps.results import TrustMap

_COMPLEX = np.dtype([("real", "<f4"), ("imag", "<f4")])
_MAGNITUDE_SERIES = 0
_COMPLEX_SERIES = 1
_FIRST_MAP_SERIES = 2
MAP_KEY = "KnerveMap"  # attribute that names a map
_GROWTH_BYTES = 1 << 24  # of the file while it is built in memory


def write_mrd_images(
    series: PlaneSeries, path: Path, *, complex_images: bool = False, maps: Sequence[TrustMap] = ()
) -> None:
    """Write `image_0` float32 (n, channel 1, z, y, x) in SNR units and, if asked for, `image_1` complex64.

    Maps follow as `image_2`, ...; each says in its attributes which it is (`KnerveMap`) and in which unit.

    The file is laid out in memory first: on a full disk HDF5 can fail late, while closing, in ways hard to undo.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False, block_size=_GROWTH_BYTES) as file:
        group = file.create_group("dataset")
        _write_series(group, series, _MAGNITUDE_SERIES, series.pixels)
        if complex_images:
            _write_series(group, series, _COMPLEX_SERIES, series.images.image.cpu().numpy())
        for number, shown in enumerate(maps):
            laid_out = map_series(series, shown)
            label = map_label(shown, number)
            _write_series(group, laid_out, _FIRST_MAP_SERIES + number, laid_out.pixels, label)
        file.flush()
        content = file.id.get_file_image()
    path.write_bytes(content)


def image_attributes(images: ImageSeries, plane: Plane, top: float, label: MapLabel | None = None) -> str:
    """The attributes of one image, or of a map, as `<ismrmrdMeta>` XML; `top` is the end of the grey window in its unit."""
    header, contrast = images.header, plane.frame.contrast
    values: dict[str, list[str]] = {
        "DataRole": ["Image"],
        "SeriesDescription": [series_description(images, 64)],
        "SeriesDescriptionAdditional": [f"knerve {images.method}"],
        "ImageComments": [comments(images, geometry_known=plane.frame.geometry_known)],
        "ImageProcessingHistory": ["knerve", images.method],
        "ImageRowDir": _digits(plane.row_dir),
        "ImageColumnDir": _digits(plane.column_dir),
        "ImageSliceDir": _digits(plane.stack_dir),
        "WindowCenter": [f"{top / 2:.6g}"],
        "WindowWidth": [f"{top:.6g}"],
        "Keep_image_geometry": ["1"],
    }
    if label is not None:
        values |= {
            "SeriesDescription": [f"knerve map: {label.title}"],
            MAP_KEY: [label.key],
            "Unit": [label.unit],
        }
    if contrast < len(header.te_ms):
        values["EchoTime"] = [repr(header.te_ms[contrast])]
    if contrast < len(header.ti_ms):
        values["InversionTime"] = [repr(header.ti_ms[contrast])]
    return _meta_xml(values)


def _write_series(
    group: h5py.Group, series: PlaneSeries, number: int, data: NDArray[np.generic], label: MapLabel | None = None
) -> None:
    images = series.images
    n_images, (ny, nx) = images.n_slices, data.shape[-2:]
    nz = images.image.shape[1] if images.is_3d else 1
    first_planes = [plane for plane in series.planes if plane.partition == 0]
    attributes = [image_attributes(images, plane, series.window_top, label) for plane in first_planes]
    headers = np.zeros(n_images, image_header_dtype)
    for index, plane in enumerate(first_planes):
        _fill_header(headers[index], images, plane, number, attributes[index])
    headers["matrix_size"] = (nx, ny, nz)
    stored = np.ascontiguousarray(data).reshape(n_images, 1, nz, ny, nx)
    if number == _COMPLEX_SERIES:
        stored = stored.view(_COMPLEX)

    target = group.create_group(f"image_{number}")
    target.create_dataset("header", data=headers, maxshape=(None,))
    target.create_dataset("attributes", data=attributes, maxshape=(None,), dtype=h5py.string_dtype())
    target.create_dataset("data", data=stored, maxshape=(None, *stored.shape[1:]), chunks=(1, 1, 1, ny, nx))


def _fill_header(head: np.void, images: ImageSeries, plane: Plane, number: int, attributes: str) -> None:
    frame = plane.frame
    is_complex = number == _COMPLEX_SERIES
    head["version"] = 1
    head["data_type"] = ismrmrd.DATATYPE_CXFLOAT if is_complex else ismrmrd.DATATYPE_FLOAT
    head["image_type"] = ismrmrd.IMTYPE_COMPLEX if is_complex else ismrmrd.IMTYPE_MAGNITUDE
    head["field_of_view"] = images.grid.recon_fov_mm
    head["channels"] = 1
    head["position"] = frame.position_mm
    head["read_dir"] = plane.row_dir
    head["phase_dir"] = plane.column_dir
    head["slice_dir"] = plane.stack_dir
    head["patient_table_position"] = frame.table_position_mm
    for counter in ("slice", "contrast", "phase", "repetition", "set", "acquisition_time_stamp"):
        head[counter] = getattr(frame, counter)
    head["image_index"] = plane.entry + 1
    head["image_series_index"] = number
    head["attribute_string_len"] = len(attributes.encode())


def _digits(direction: NDArray[np.float64]) -> list[str]:
    """Three components with many digits, as scanners expect them to be able to recompute the plane."""
    return [f"{value:.18f}" for value in direction]


def _meta_xml(values: dict[str, list[str]]) -> str:
    root = ET.Element("ismrmrdMeta")
    for name, items in values.items():
        meta = ET.SubElement(root, "meta")
        ET.SubElement(meta, "name").text = name
        for item in items:
            ET.SubElement(meta, "value").text = plain_text(item)
    return '<?xml version="1.0"?>' + ET.tostring(root, encoding="unicode")
