"""Images between files and streams: each entry of an `image_<series>` of an ISMRMRD file is one IMAGE message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from knerve.recon.errors import OutputError
from knerve.server.messages import IMAGE_HEAD, Image

GROUP = "dataset"
_COMPLEX = np.dtype([("real", "<f4"), ("imag", "<f4")])


def image_messages(path: Path, series: int = 0) -> Iterator[Image]:
    """The images of one series, as `knerve.datasets.mrd_images` writes them, in their order."""
    with h5py.File(path, "r") as file:
        group = file[f"{GROUP}/image_{series}"]
        heads = group["header"][()].astype(IMAGE_HEAD)
        for head, attributes, pixels in zip(heads, group["attributes"].asstr(), group["data"], strict=True):
            yield Image(head, attributes, pixels)


def write_images(images: Sequence[Image], path: Path) -> None:
    """Write received images as an ISMRMRD file; images of one series that differ in shape or type go to parts of it.

    Raises:
        OutputError: the file cannot be written.
    """
    series: dict[str, list[Image]] = {}
    for image in images:
        number = int(image.head["image_series_index"])
        names = (f"image_{number}", *(f"image_{number}_part_{part}" for part in range(2, len(images) + 2)))
        name = next(name for name in names if _fits(image, series.get(name)))
        series.setdefault(name, []).append(image)
    try:
        with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
            for name, members in series.items():
                _write_series(file.create_group(f"{GROUP}/{name}"), members)
            file.flush()
            content = file.id.get_file_image()
        aside = path.with_name(f".{path.name}.part")
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise OutputError(f"{path} could not be written: {error}.") from error


def _fits(image: Image, others: Sequence[Image] | None) -> bool:
    if not others:
        return True
    first = others[0].pixels
    return image.pixels.shape == first.shape and image.pixels.dtype == first.dtype


def _write_series(group: h5py.Group, images: Sequence[Image]) -> None:
    pixels = np.stack([image.pixels for image in images])
    if pixels.dtype == np.complex64:
        pixels = pixels.view(_COMPLEX)
    group.create_dataset("header", data=np.array([image.head for image in images]), maxshape=(None,))
    attributes = [image.attributes for image in images]
    group.create_dataset("attributes", data=attributes, maxshape=(None,), dtype=h5py.string_dtype())
    group.create_dataset("data", data=pixels, maxshape=(None, *pixels.shape[1:]), chunks=(1, *pixels.shape[1:]))
