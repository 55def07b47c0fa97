"""Images as PNG: one windowed grey picture a slice, pixels square, and a contact sheet of them all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from knerve.datasets.display_window import to_grey, window_in_words
from knerve.datasets.plane_series import PlaneSeries
from knerve.datasets.png_bytes import png_bytes
from knerve.datasets.provenance import how_made
from knerve.recon.images import RESEARCH_USE

CONTACT_SHEET = "contact_sheet.png"
_SHEET_WIDTH = 1600
_MOST_TILES = 64
_GAP = 6
_CAPTION_HEIGHT = 24
_INK = 150  # caption grey on black: readable, not louder than the anatomy


def write_png(series: PlaneSeries, folder: Path) -> tuple[Path, ...]:
    """Write `slice_000.png`, ... and `contact_sheet.png` into the new folder `folder`; returns the files.

    All slices share one window, 0 to a high percentile of the series. Where dx and dy differ, pixels are interpolated
    to squares of the smaller spacing.
    """
    folder.mkdir()
    window = window_in_words(series.window_top)
    about = f"{RESEARCH_USE} {how_made(series.images)} Shown: {window}."
    pictures = [
        square_picture(to_grey(values, series.window_top), plane.spacing_mm)
        for values, plane in zip(series.pixels, series.planes, strict=True)
    ]
    files = {folder / f"slice_{number:03d}.png": picture for number, picture in enumerate(pictures)}
    files[folder / CONTACT_SHEET] = contact_sheet(pictures, f"knerve {series.images.method}, {window}")
    for path, picture in files.items():
        path.write_bytes(png_bytes(picture, about))
    return tuple(files)


def square_picture(values: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> Image.Image:
    """Grey (y, x) or colour (y, x, 3) values as a picture whose pixels are square, for pixels of (dx, dy) mm."""
    dx, dy = spacing_mm
    picture = Image.fromarray(values)
    if abs(dx / dy - 1) < 0.005:
        return picture
    edge = min(dx, dy)
    size = (round(picture.width * dx / edge), round(picture.height * dy / edge))
    return picture.resize(size, Image.Resampling.BICUBIC)


def evenly_chosen(n_pictures: int, most: int) -> list[int]:
    """All indices, or `most` of them evenly spread from the first to the last."""
    if n_pictures <= most:
        return list(range(n_pictures))
    return [round(index * (n_pictures - 1) / (most - 1)) for index in range(most)]


def contact_sheet(pictures: list[Image.Image], caption: str) -> Image.Image:
    """The slices side by side on black with their numbers, at most 64 of them, and a caption that says research use."""
    chosen = evenly_chosen(len(pictures), _MOST_TILES)
    layout = _layout(len(chosen), pictures[0].size)
    sheet = Image.new("L", (layout.width, layout.height), 0)
    draw = ImageDraw.Draw(sheet)
    small, large = ImageFont.load_default(12), ImageFont.load_default(14)
    for place, index in enumerate(chosen):
        left, top = layout.corner(place)
        sheet.paste(pictures[index].resize(layout.tile, Image.Resampling.LANCZOS), (left, top))
        draw.text((left + 5, top + 3), str(index), fill=_INK, font=small)
    if len(chosen) < len(pictures):
        caption = f"{len(chosen)} of {len(pictures)} slices. {caption}"
    baseline = layout.height - _CAPTION_HEIGHT
    draw.text((_GAP, baseline), _fitting(draw, f"Research use only. {caption}", layout.width, large), _INK, large)
    return sheet


@dataclass(frozen=True)
class _Layout:
    columns: int
    rows: int
    tile: tuple[int, int]  # width, height

    @property
    def width(self) -> int:
        return self.columns * (self.tile[0] + _GAP) + _GAP

    @property
    def height(self) -> int:
        return self.rows * (self.tile[1] + _GAP) + _GAP + _CAPTION_HEIGHT

    def corner(self, place: int) -> tuple[int, int]:
        row, column = divmod(place, self.columns)
        return _GAP + column * (self.tile[0] + _GAP), _GAP + row * (self.tile[1] + _GAP)


def _layout(n_tiles: int, size: tuple[int, int]) -> _Layout:
    """A sheet about as wide as high in tiles, and `_SHEET_WIDTH` wide unless the slices are smaller."""
    width, height = size
    columns = max(1, min(n_tiles, round((n_tiles * 1.4 * height / width) ** 0.5)))
    tile_width = max(1, min(max(width, 256), _SHEET_WIDTH // columns - _GAP))
    return _Layout(columns, -(-n_tiles // columns), (tile_width, max(1, round(tile_width * height / width))))


def _fitting(
    draw: ImageDraw.ImageDraw, words: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> str:
    """As many leading sentences as fit into the width; of a single one that does not, the leading words."""
    for parts, joint in ((words.split(". "), ". "), (words.partition(". ")[0].split(), " ")):
        kept = list(parts)
        while len(kept) > 1 and draw.textlength(joint.join(kept), font=font) > width - 2 * _GAP:
            kept.pop()
        if draw.textlength(joint.join(kept), font=font) <= width - 2 * _GAP:
            break
    return joint.join(kept)
