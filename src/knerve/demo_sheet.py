"""One sheet of it all: the whole slice, the nerves and the errors of every method, to be shown by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from knerve.demo_figures import CROP_MM, ERROR_WHITE, SHORT, WHOLE_MM, Figures
from knerve.demo_marks import MARK

PER_MM = 2.5
GAP = 8
HEADING = 30
INK = (225, 225, 225)
SOFT = (165, 165, 165)


def comparison_sheet(figures: Figures, headings: Mapping[str, str], words: Sequence[str]) -> Image.Image:
    """Columns of the truth and the methods: the whole slice, crops at the nerves, the error.

    Args:
        figures: draws them; its first series is the truth.
        headings: of the columns, by series.
        words: lines in the place of the truth's error.
    """
    width, height = (round(side * PER_MM) for side in WHOLE_MM)
    rows = [HEADING, HEADING + height + GAP, HEADING + height + width + 2 * GAP]
    n_columns = len(figures.series)
    sheet = Image.new("RGB", (n_columns * (width + GAP) - GAP, rows[2] + height))
    draw = ImageDraw.Draw(sheet)
    for column, series in enumerate(figures.series):
        left = column * (width + GAP)
        draw.text((left + width / 2, HEADING / 2), headings[series], fill=INK, font=_font(17), anchor="mm")
        sheet.paste(figures.whole(series, PER_MM), (left, rows[0]))
        for i, name in enumerate(figures.views):
            edge = (width - GAP) // 2
            corner = (left + i % 2 * (edge + GAP), rows[1] + i // 2 * (edge + GAP))
            sheet.paste(figures.crop(name, series, edge / CROP_MM), corner)
            draw.text((corner[0] + 6, corner[1] + 5), SHORT.get(name, name), fill=MARK, font=_font(14))
        if column:
            sheet.paste(figures.error(series, PER_MM), (left, rows[2]))
    explanation = "\n".join([*words, f"Bottom: |image - truth|, yellow from {ERROR_WHITE:.0%} of white on."])
    draw.multiline_text((GAP, rows[2] + height / 2), explanation, fill=SOFT, font=_font(15), anchor="lm", spacing=7)
    return sheet


def _font(points: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(points)
