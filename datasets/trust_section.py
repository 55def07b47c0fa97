"""The trust maps on the report's page: pictures of the middle slice, the fit of every line, and the numbers of all slices."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.display_window import to_grey
from knerve.datasets.line_chart import line_chart
from knerve.datasets.plane_series import PlaneSeries
from knerve.datasets.report_figures import colour_figure, picture_figure
from knerve.recon.learned.maps.results import SliceTrust, TrustMap, TrustMaps
from knerve.recon.learned.trust import CHI_SQUARE, LINE_CHI_SQUARE

OVERLAY = "at_bound"
SHOWN_ELSEWHERE = "noise"  # the page has the map of the noise already
OVERLAY_COLOUR = (255, 64, 48)
MARKED = 0.5  # interpolation leaves parts of 1
COLOURS = {"gain": "viridis", "width_y": "cividis", "width_x": "cividis"}
OTHER_COLOURS = "inferno"
UNKNOWN = "-"
HEADINGS = (
    "Slice",
    "Method (compared with)",
    "At the bound",
    "χ² per sample",
    "Worst line",
    "Lines beyond gate",
    "From the prior",
    "Kept of a weak spot, median",
    "Kept, worst 5 %",
    "Its width, phase × read",
    "90 % interval ±",
    "Held-out error",
    "… noise alone",
    "Held-out verdict",
)


def trust_section(series: PlaneSeries, trust: TrustMaps) -> str:
    """HTML of the section; empty where no maps were made."""
    if not trust.maps:
        return ""
    middle = len(trust.maps[0].values) // 2
    figures = "".join(_figure(series, each, middle) for each in trust.maps if each.key != SHOWN_ELSEWHERE)
    head = f"<section><h2>How far to trust the images, slice {middle}</h2>"
    if not trust.slices:
        return f'{head}<div class="maps">{figures}</div></section>' if figures else ""
    shown = trust.slices[middle]
    low, high = CHI_SQUARE
    lines = (
        "Each bar is one sampled line, from the lowest ky on the left to the highest: mean squared misfit between image and "
        f"data over the noise. 1 is what noise alone gives; the gate for one line is {LINE_CHI_SQUARE:g}, for all of them "
        f"{low:g} to {high:g} (here {shown.lines.overall:.3f}; {shown.reference}: {shown.reference_lines.overall:.3f}). Lines "
        "near the centre exceed it in bright scans by what is wrong with the sensitivities, for every method alike."
    )
    return (
        f'{head}<p class="verdict">{escape(trust.verdict)}</p>'
        f'<div class="maps">{figures}</div>'
        f"<h3>Data consistency of every line, slice {middle}</h3>"
        f"{line_chart(shown.lines.chi_square.numpy(), shown.lines.sampled.numpy(), LINE_CHI_SQUARE)}"
        f'<p class="soft">{escape(lines)}</p>'
        f"<h3>All slices; in parentheses the simpler method on the same data</h3>{_table(trust.slices)}"
        f'<p class="soft">Made in {sum(trust.seconds.values()):.0f} s.</p></section>'
    )


def _figure(series: PlaneSeries, shown: TrustMap, index: int) -> str:
    values = shown.values[index].numpy()
    plane, words = series.planes[index], f"<p>{escape(shown.caption)}</p>"
    if shown.key == OVERLAY:
        inside = series.object_mask(index)
        share = (values[inside] >= MARKED).mean() if inside.any() else 0.0
        caption = f"{shown.title}: {100 * share:.2g} % of the object"
        return picture_figure(_overlaid(series, index, values), plane, caption, below=words)
    colours = COLOURS.get(shown.key, OTHER_COLOURS)
    return colour_figure(values, shown.top, plane, colours, shown.title, shown.unit, below=words)


def _overlaid(series: PlaneSeries, index: int, marked: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The image in grey with marked pixels in colour, (y, x, 3)."""
    picture = np.repeat(to_grey(series.pixels[index], series.window_top)[..., None], 3, axis=2)
    picture[marked >= MARKED] = OVERLAY_COLOUR
    return picture


def _table(slices: Iterable[SliceTrust]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADINGS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in (str(number), *_cells(each))) + "</tr>"
        for number, each in enumerate(slices)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(each: SliceTrust) -> tuple[str, ...]:
    held_out = each.held_out
    return (
        f"{each.method} ({each.reference})",
        f"{100 * each.at_bound:.2g} %",
        f"{each.lines.overall:.3f} ({each.reference_lines.overall:.3f})",
        f"{each.lines.largest:.2f}",
        str(each.lines.n_beyond),
        f"{100 * each.prior_energy:.2g} %",
        *_gains(each),
        UNKNOWN if each.width is None else f"{each.width[0]:.2f} × {each.width[1]:.2f} px",
        f"{each.interval:.2f}",
        UNKNOWN if held_out is None else f"{held_out.error:.3f} ({held_out.reference:.3f})",
        UNKNOWN if held_out is None else f"{held_out.noise:.3f}",
        UNKNOWN if held_out is None else f"{held_out.verdict} on {held_out.n_lines} lines",
    )


def _gains(each: SliceTrust) -> tuple[str, str]:
    """Median and 5th percentile, those of the simpler method in parentheses."""
    if each.gain is None or each.reference_gain is None:
        return UNKNOWN, UNKNOWN
    median, low = (f"{own:.2f} ({plain:.2f})" for own, plain in zip(each.gain, each.reference_gain, strict=True))
    return median, low
