"""Pictures of acquired images as they hang upright: whole slices, crops at a nerve, errors in colours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from knerve.datasets.display_window import to_grey
from knerve.demo_hanging import Hanging

Values = NDArray[np.float32]
TINT = 0.7

Place = tuple[float, float]  # row and column


@dataclass(frozen=True)
class Frame:
    """What a picture shows and how large.

    Attributes:
        centre: row and column of the hung image in its middle.
        width_mm: of what is shown.
        height_mm: of what is shown.
        per_mm: pixels of the picture.
    """

    centre: Place
    width_mm: float
    height_mm: float
    per_mm: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return round(self.width_mm * self.per_mm), round(self.height_mm * self.per_mm)


class LightBox:
    """Shows the images of a series, all of one shape (y, x): upright, pixels square."""

    def __init__(self, hanging: Hanging, pixel_mm: tuple[float, float], shape: tuple[int, int]) -> None:
        self.hanging = hanging
        self.acquired_shape = shape
        self.pixel_mm = hanging.pixel_mm(pixel_mm)
        self.middle = hanging.place(shape[0] // 2, shape[1] // 2, shape)

    def whole(self, per_mm: float, around_mm: tuple[float, float]) -> Frame:
        """A frame of this width and height about the middle."""
        return Frame(self.middle, *around_mm, per_mm)

    def crop(self, place: Place, edge_mm: float, per_mm: float) -> Frame:
        """A square frame about a place of the acquired images."""
        return Frame(self.hanging.place(*place, self.acquired_shape), edge_mm, edge_mm, per_mm)

    def grey(self, image: Values, frame: Frame, white: float) -> Image.Image:
        """An acquired image (y, x), 0 to `white`."""
        return self._framed(Image.fromarray(np.ascontiguousarray(self.hanging.picture(image))), frame, white)

    def tinted(self, picture: Image.Image, mask: Values, frame: Frame, colour: tuple[int, int, int]) -> Image.Image:
        """A picture of that frame with a colour laid over where a mask (y, x) is, 0 to 1."""
        shape = Image.fromarray(np.ascontiguousarray(self.hanging.picture(mask)))
        cover = self._framed(shape, frame, 1.0).convert("L").point(lambda level: TINT * level)
        return Image.composite(Image.new("RGB", picture.size, colour), picture, cover)

    def error(self, difference: Values, frame: Frame, top: float) -> Image.Image:
        """The size of a difference of acquired images, 0 to `top`, in colours from black to yellow."""
        size = np.ascontiguousarray(self.hanging.picture(np.abs(difference)))
        grey = np.asarray(self._framed(Image.fromarray(size), frame, top))[..., 0]
        palette = np.rint(colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.uint8)
        return Image.fromarray(palette[grey])

    def position(self, place: Place, frame: Frame) -> tuple[float, float]:
        """Where a place of the acquired images lies in a picture, x and y."""
        row, column = self.hanging.place(*place, self.acquired_shape)
        (dx, dy), (width, height) = self.pixel_mm, frame.size
        x = width / 2 + (column - frame.centre[1]) * dx * frame.per_mm
        return x, height / 2 + (row - frame.centre[0]) * dy * frame.per_mm

    def is_right_of_middle(self, place: Place) -> bool:
        """Whether a place hangs in the right half."""
        return self.hanging.place(*place, self.acquired_shape)[1] > self.middle[1]

    def _framed(self, picture: Image.Image, frame: Frame, white: float) -> Image.Image:
        """The part of a picture of floats that the frame shows, enlarged smoothly, as RGB; black beyond its edges."""
        dx, dy = self.pixel_mm
        half_x, half_y = frame.width_mm / 2 / dx, frame.height_mm / 2 / dy
        middle_y, middle_x = frame.centre[0] + 0.5, frame.centre[1] + 0.5
        margin = math.ceil(max(half_x, half_y)) + 4
        padded = Image.new("F", (picture.width + 2 * margin, picture.height + 2 * margin))
        padded.paste(picture, (margin, margin))
        x, y = middle_x + margin, middle_y + margin
        box = (x - half_x, y - half_y, x + half_x, y + half_y)
        shown = padded.resize(frame.size, Image.Resampling.BICUBIC, box=box)
        return Image.fromarray(to_grey(np.asarray(shown), white)).convert("RGB")
