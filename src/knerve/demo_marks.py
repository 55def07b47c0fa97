"""Marks on a picture: arrows that point at a nerve from outside, a scale bar, the patient's directions at the edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

MARK = (255, 190, 60)
INK = (205, 205, 205)
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
SMOOTH = 3  # marks are drawn so many times larger: no stairs
LETTERS, LEAST_POINTS = 1 / 20, 13.0  # of a picture's width; at least

Colour = tuple[int, int, int]
Edges = tuple[str, str, str, str]


@dataclass(frozen=True)
class Arrow:
    """A small arrow whose tip points at a place, and a word at its other end."""

    tip: tuple[float, float]
    from_right: bool
    length: float
    word: str = ""


def with_marks(
    picture: Image.Image, per_mm: float, arrows: Iterable[Arrow], scale_mm: float, edges: Edges | None
) -> Image.Image:
    """The picture with arrows, a scale bar at the bottom and the patient's directions at its edges."""
    large = picture.resize((picture.width * SMOOTH, picture.height * SMOOTH), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(large)
    for arrow in arrows:
        _draw_arrow(draw, arrow, _points(large.size))
    _draw_scale(draw, large.size, per_mm * SMOOTH, scale_mm)
    if edges:
        _draw_edges(draw, large.size, edges)
    return large.resize(picture.size, Image.Resampling.LANCZOS)


def _points(size: tuple[int, int]) -> float:
    """Size of letters that stays readable when a picture of this size (`SMOOTH` times too large) is shown small."""
    return max(LEAST_POINTS, LETTERS * size[0] / SMOOTH)


def _font(points: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(points * SMOOTH)


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], words: str, points: float, anchor: str, colour: Colour
) -> None:
    """Words in a dark edge, readable on any ground."""
    draw.text(place, words, fill=colour, font=_font(points), anchor=anchor, stroke_width=SMOOTH, stroke_fill=BLACK)


def _draw_arrow(draw: ImageDraw.ImageDraw, arrow: Arrow, points: float) -> None:
    sign = 1 if arrow.from_right else -1
    x, y = (SMOOTH * place for place in arrow.tip)
    length, half = SMOOTH * arrow.length, SMOOTH * max(3.0, 0.16 * arrow.length)
    head, thin = x + sign * 2.4 * half, max(2, round(0.5 * half))
    end = x + sign * length
    for width, colour in ((thin + 2 * SMOOTH, BLACK), (thin, MARK)):
        draw.line([(head, y), (end, y)], fill=colour, width=width)
    draw.polygon([(x, y), (head, y - half), (head, y + half)], fill=MARK, outline=BLACK)
    if arrow.word:
        _write(draw, (end + sign * 4 * SMOOTH, y), arrow.word, points, "lm" if arrow.from_right else "rm", MARK)


def _draw_scale(draw: ImageDraw.ImageDraw, size: tuple[int, int], per_mm: float, scale_mm: float) -> None:
    """On a black plate in the lower left corner."""
    font, words, edge, thick = _font(_points(size)), f"{scale_mm:g} mm", 5 * SMOOTH, 2 * SMOOTH
    length = round(scale_mm * per_mm)
    _, top, wide, _ = draw.textbbox((0, 0), words, font=font, anchor="ls")
    left, bottom = 2 * edge, size[1] - 2 * edge
    text_bottom = bottom - thick - edge
    draw.rectangle([edge, text_bottom + top - edge, left + max(length, wide) + edge, bottom + edge], fill=BLACK)
    draw.rectangle([left, bottom - thick, left + length, bottom], fill=WHITE)
    draw.text((left, text_bottom), words, fill=WHITE, font=font, anchor="ls")


def _draw_edges(draw: ImageDraw.ImageDraw, size: tuple[int, int], edges: Edges) -> None:
    (width, height), away = size, 8 * SMOOTH
    places = (
        ((away, height / 2), "lm"),
        ((width - away, height / 2), "rm"),
        ((width / 2, away), "ma"),
        ((width / 2, height - away), "ms"),
    )
    for letter, (place, anchor) in zip(edges, places, strict=True):
        _write(draw, place, letter, _points(size), anchor, INK)
