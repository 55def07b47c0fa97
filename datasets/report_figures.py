"""The images of the report's page, as HTML with the pictures inside: slices, and the signal and noise of the middle one."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from knerve.datasets.display_window import to_grey, window_in_words
from knerve.datasets.plane_series import PlaneSeries
from knerve.datasets.png import evenly_chosen, square_picture
from knerve.datasets.png_bytes import png_bytes
from knerve.datasets.slice_planes import Plane

_MOST_PICTURES = 24
_LARGEST_EDGE = 768


@dataclass(frozen=True)
class ReportFigures:
    """HTML of the page: the slices, plain words below them, and the section of maps, empty without a noise map."""

    pictures: str
    caption: str
    maps: str


def report_figures(series: PlaneSeries) -> ReportFigures:
    """Draw what the page shows of a series."""
    return ReportFigures(_pictures(series), _caption(series), _maps(series))


def _pictures(series: PlaneSeries) -> str:
    return "".join(
        _grey_figure(series, index, f"{index}{_where(series, series.planes[index])}")
        for index in evenly_chosen(len(series.planes), _MOST_PICTURES)
    )


def _caption(series: PlaneSeries) -> str:
    n_planes = len(series.planes)
    selection = f"{_MOST_PICTURES} of {n_planes} slices. " if n_planes > _MOST_PICTURES else ""
    return f"{selection}Magnitude, {window_in_words(series.window_top)}. Method {series.images.method}."


def _where(series: PlaneSeries, plane: Plane) -> str:
    """What tells this image from the others, for its caption."""
    counters = [
        f"{name} {getattr(plane.frame, name)}"
        for name in ("repetition", "contrast", "set", "phase")
        if len({getattr(frame, name) for frame in series.images.frames}) > 1
    ]
    place = [f"{plane.location_mm:+.1f} mm"] if plane.frame.geometry_known else []
    return "".join(f" · {words}" for words in counters + place)


def _maps(series: PlaneSeries) -> str:
    """SNR and noise level of the middle slice."""
    if series.noise_level is None or series.snr is None:
        return ""
    middle = len(series.planes) // 2
    plane, inside = series.planes[middle], series.object_mask(middle)
    maps = _map(series.snr[middle], inside, plane, "magma", "Local SNR") + _map(
        series.noise_level[middle], inside, plane, "viridis", "Noise level, √R times the g-factor"
    )
    explanation = (
        "Noise level is the standard deviation of the noise in SNR units: 1 is a fully sampled pixel. "
        "Local SNR is magnitude over noise level."
    )
    return (
        f'<section><h2>Signal and noise, slice {middle}</h2><div class="maps">'
        f"{_grey_figure(series, middle, f'Slice {middle}')}{maps}</div>"
        f'<p class="soft">{explanation}</p></section>'
    )


def _map(values: NDArray[np.float32], inside: NDArray[np.bool_], plane: Plane, colours: str, name: str) -> str:
    top = float(np.percentile(values[inside] if inside.any() else values, 99)) or 1.0
    return colour_figure(values, top, plane, colours, name)


def colour_figure(
    values: NDArray[np.float32], top: float, plane: Plane, colours: str, caption: str, unit: str = "", below: str = ""
) -> str:
    """A figure of a map (y, x) in colours, 0 to `top`, with its colour bar and, if given, HTML below that.

    Pixels of value 0 are black, whatever the colours begin with: nothing is known there.
    """
    palette = np.rint(colormaps[colours](np.arange(256))[:, :3] * 255).astype(np.uint8)
    stops = ", ".join("#" + bytes(palette[level]).hex() for level in range(0, 256, 51))
    scale = (
        f'<div class="scale"><span>0</span><i style="background: linear-gradient(to right, {stops})"></i>'
        f"<span>{escape(f'{top:.3g} {unit}'.strip())}</span></div>"
    )
    picture = np.where((values == 0)[..., None], np.uint8(0), palette[to_grey(values, top)])
    return picture_figure(picture, plane, caption, below=scale + below)


def _grey_figure(series: PlaneSeries, index: int, caption: str) -> str:
    return picture_figure(to_grey(series.pixels[index], series.window_top), series.planes[index], caption)


def picture_figure(values: NDArray[np.uint8], plane: Plane, caption: str, below: str = "") -> str:
    """A figure of a grey (y, x) or colour (y, x, 3) picture, with HTML below its caption."""
    picture = square_picture(values, plane.spacing_mm)
    picture.thumbnail((_LARGEST_EDGE, _LARGEST_EDGE))
    return (
        f'<figure><img src="{_data_uri(picture)}" width="{picture.width}" height="{picture.height}" '
        f'style="height: auto" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption>{below}</figure>'
    )


def _data_uri(picture: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(picture)).decode("ascii")
