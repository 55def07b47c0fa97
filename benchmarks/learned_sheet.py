"""A contact sheet: truth, zero-filled, compressed sensing, dl and their differences at the genicular nerves of one slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from learned_knees import NerveSlice
from matplotlib.figure import Figure

from knerve.recon.pipeline import reconstruct
from knerve.recon.quality import fitted
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings

REACH = 36  # pixels around a nerve
METHODS = {"zero-filled": "zero-filled", "cs": "compressed sensing", "dl": "deep learning"}
DIFFERENCE = 4.0  # times brighter


def save_sheet(slice_: NerveSlice, scan: RawScan, path: Path) -> None:
    """Write the sheet as PNG."""
    truth = slice_.knee.truth
    images = {"truth": truth}
    for method, title in METHODS.items():
        settings = Settings(method=method, snr_map="none")  # type: ignore[arg-type]
        images[title] = fitted(reconstruct(scan, settings).magnitude[0].numpy(), truth, slice_.inside)
    images |= {f"{title} - truth, x{DIFFERENCE:g}": images[title] - truth for title in list(images)[2:]}
    places = {"whole": None} | slice_.places()
    figure = Figure(figsize=(2.6 * len(images), 2.75 * len(places)), layout="constrained", facecolor="black")
    grid = figure.subplots(len(places), len(images), squeeze=False)
    for axes_row, (name, place) in zip(grid, places.items(), strict=True):
        part = _part(place)
        white = float(np.percentile(truth[part], 99.7 if place is None else 99.9))
        for axes, (title, image) in zip(axes_row, images.items(), strict=True):
            difference = "- truth" in title
            low = -white / DIFFERENCE if difference else 0.0
            high = white / DIFFERENCE if difference else white
            axes.imshow(image[part], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axes.set_title(title if place is None else name, color="white", fontsize=8)
            axes.set_axis_off()
    figure.savefig(path, dpi=110)


def _part(place: tuple[float, float] | None) -> tuple[slice, slice]:
    if place is None:
        return slice(None), slice(None)
    row, column = (round(value) for value in place)
    return slice(max(0, row - REACH), row + REACH), slice(max(0, column - REACH), column + REACH)
