"""Finished slices as IMAGE messages, one at a time, the same as those of a whole series but for its grey window.

The window that a series shares is known when all of it is. A slice that goes out before carries the window of the slices
finished so far.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from knerve.datasets.display_window import window_top
from knerve.datasets.mrd_images import write_mrd_images
from knerve.datasets.plane_series import Values, plane_series
from knerve.recon.images import ImageSeries
from knerve.recon.settings import Method
from knerve.server.image_file import image_messages
from knerve.server.job import REFINED_SERIES
from knerve.server.messages import Image
from knerve.server.spool import SessionFolder

QUICK_METHOD: Method = "zero-filled"
DERIVED = 100  # series numbers that one series of the scanner leaves for what is made of it
PIXELS_PER_SLICE = 40_000  # that take part in the window


class SliceMessages:
    """Makes messages of slices; keeps what the window needs of those before."""

    def __init__(self, folder: Path, kind: str = "slice") -> None:
        self._aside = folder / f".{kind}.{os.getpid()}.part"
        self._pixels: list[Values] = []

    def message(self, series: ImageSeries, entry: int) -> Image:
        """The message of a series of one slice, which is `entry` among all of its scan."""
        laid_out = plane_series(series)
        self._pixels.append(laid_out.pixels.reshape(-1)[:: max(1, laid_out.pixels.size // PIXELS_PER_SLICE)])
        try:
            write_mrd_images(replace(laid_out, window_top=window_top(np.concatenate(self._pixels))), self._aside)
            (image,) = image_messages(self._aside)
        finally:
            self._aside.unlink(missing_ok=True)
        head = image.head.copy()
        head["image_index"] = entry + 1
        return replace(image, head=head)


def fallback(images: ImageSeries) -> ImageSeries:
    """Images of coils that were only combined, labelled as what they are: sent where better ones would come too late."""
    settings = {**images.settings, "method": QUICK_METHOD}
    return labelled(replace(images, method=QUICK_METHOD, settings=settings), "FALLBACK")


def final_series(method: str) -> int:
    """In which series the images go out that are as good as a method makes them."""
    return REFINED_SERIES if method == "dl" else 0


def of_series(image: Image, number: int) -> Image:
    """The message in another series: images of one series replace none of the others."""
    head = image.head.copy()
    head["image_series_index"] = number
    return replace(image, head=head)


def numbered(images: ImageSeries) -> ImageSeries:
    """The same images; refined ones under a DICOM series number of their own: 1202 beside the scanner's 12."""
    number = final_series(images.method)
    if not number:
        return images
    scanners = images.header.initial_series_number or 1
    return replace(images, header=replace(images.header, initial_series_number=DERIVED * scanners + number))


def labelled(images: ImageSeries, label: str) -> ImageSeries:
    """The same images, whose description begins with a label in every format."""
    name = images.header.series_description or images.header.protocol_name
    return replace(images, header=replace(images.header, series_description=f"{label} {name}".strip()))


def keep_images(images: ImageSeries, folder: SessionFolder) -> None:
    """Write the images of a session; those before stand until all of these are written."""
    aside = folder.path / f".images.{os.getpid()}.part"
    try:
        write_mrd_images(plane_series(images), aside)
        aside.replace(folder.images)
    finally:
        aside.unlink(missing_ok=True)
