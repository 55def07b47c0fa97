"""The main job on built-in data: simulate a scan, read it back as any user's file, reconstruct it, hold it against the truth."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import get_args

import h5py
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from knerve.datasets.demo_scan import write_demo_scan
from knerve.datasets.reading import read_raw
from knerve.datasets.saving import save_images
from knerve.datasets.staged_output import FILES_KEY, MARKER_FILE, MARKER_KEY, check_target, staged_directory
from knerve.recon.images import RESEARCH_USE, ImageSeries
from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import Grid, RawScan
from knerve.recon.settings import Method, Settings
from knerve.terminal import Terminal, facts_table

RAW_FILE = "raw.h5"
IMAGES_FOLDER = "images"
FIGURE_FILE = "comparison.png"
PAGE_FILE = "demo.html"
METHODS: tuple[Method, ...] = get_args(Method)
METHOD_NAMES = {"zero-filled": "Zero-filled", "sense": "SENSE", "cs": "Compressed sensing"}
NAVIGATING_SCAN_S = 33.0  # what the scan that the demo simulates takes, for this many slices
NAVIGATING_SLICES = 15
WHITE_PERCENTILE = 99.5  # of the truth
ERROR_WHITE = 0.2  # the error maps end at this fraction of the images' white

Magnitudes = NDArray[np.float32]
Window = tuple[tuple[float, float], tuple[float, float]]
LEG_MM: Window = ((-68.0, 68.0), (-64.0, 66.0))  # x and y, from the centre of the field of view
NERVES_MM: Window = (
    (-35.0, 5.0),
    (35.0, 55.0),
)  # the tibial and the common peroneal nerve beside the popliteal vessels
EXPLANATION = (
    "Top: the leg, on one grey scale.\n"
    "Middle: tibial nerve, common\nperoneal nerve and popliteal vessels.\n"
    f"Bottom: |image - truth|, brightest at\n{ERROR_WHITE:.0%} of the white above.\n\n"
    "Error: root mean square in the leg\nover all slices, relative to the truth;\nno scale was fitted.\n\n"
    "A simulated knee, not a patient's."
)


def run_demo(talk: Terminal, out: Path, *, n_slices: int, seed: int) -> None:
    """Write the raw file, the images, a figure and a page into `out`; an earlier demo there is replaced as a whole.

    Raises:
        OutputError: `out` cannot be written or holds files of others.
    """
    check_target(out)
    with staged_directory(out) as folder:
        seconds: dict[str, float] = {}
        with _timed(seconds, "simulate"):
            talk.step(f"Simulating the navigating scan, {n_slices} slices")
            write_demo_scan(folder / RAW_FILE, n_slices=n_slices, seed=seed)
        with _timed(seconds, "read"):
            talk.step("Reading it back")
            scan = read_raw(folder / RAW_FILE)
        series = {method: _reconstruct(talk, scan, Settings(method=method, seed=seed)) for method in METHODS}
        with _timed(seconds, "save"):
            talk.step("Writing the images")
            save_images(series["cs"], folder / IMAGES_FOLDER, source=RAW_FILE)
        talk.step("Comparing with the truth")
        truth = read_truth(folder / RAW_FILE)
        magnitudes = {method: images.magnitude.numpy() for method, images in series.items()}
        errors = {method: nrmse(magnitude, truth) for method, magnitude in magnitudes.items()}
        comparison_figure(truth, magnitudes, errors, pixel_mm(scan.grid)).savefig(folder / FIGURE_FILE, dpi=110)
        budget_s = {"read": seconds["read"]} | series["cs"].seconds | {"save": seconds["save"]}
        (folder / PAGE_FILE).write_text(demo_page(budget_s, errors, n_slices, scan.acceleration), encoding="utf-8")
        stages: dict[str, object] = {**seconds, **{method: images.seconds for method, images in series.items()}}
        document: dict[str, object] = {
            "research_use": RESEARCH_USE,
            "slices": n_slices,
            "acceleration": scan.acceleration,
            "nrmse_against_truth": errors,
            "seconds": stages,
        }
        _mark_as_ours(folder, document)
    facts = {
        "error against the truth": {METHOD_NAMES[method]: f"{100 * errors[method]:.1f} %" for method in METHODS},
        "raw file to CS images": f"{sum(budget_s.values()):.1f} s for {n_slices} slices",
        "look at": out / PAGE_FILE,
        "images": out / IMAGES_FOLDER,
        "raw file": out / RAW_FILE,
    }
    talk.answer({"out": out, "page": out / PAGE_FILE} | document, facts_table(facts), RESEARCH_USE)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - started


def _reconstruct(talk: Terminal, scan: RawScan, settings: Settings) -> ImageSeries:
    with talk.slices(f"Reconstructing ({settings.method})") as on_slices_done:
        images = reconstruct(scan, settings, on_slices_done)
    talk.notes(images.notes)
    return images


def read_truth(raw: Path) -> Magnitudes:
    """What the scan was simulated from, (slice, y, x) in SNR units, as the demo's raw file keeps it beside the data."""
    with h5py.File(raw) as file:
        truth: Magnitudes = file["truth/snr"][...]
    return truth


def pixel_mm(grid: Grid) -> tuple[float, float]:
    """Size of an image's pixel (dx, dy)."""
    return grid.recon_fov_mm[0] / grid.recon_matrix[0], grid.recon_fov_mm[1] / grid.recon_matrix[1]


def leg_mask(truth: Magnitudes) -> NDArray[np.bool_]:
    """The leg with its dark bones and tendons: all pixels between the outermost bright ones along both x and y."""
    bright = truth > 0.1 * np.percentile(truth, WHITE_PERCENTILE)

    def between(axis: int) -> NDArray[np.bool_]:
        after_first = np.logical_or.accumulate(bright, axis=axis)
        before_last = np.flip(np.logical_or.accumulate(np.flip(bright, axis), axis=axis), axis)
        return np.logical_and(after_first, before_last)

    return np.logical_and(between(1), between(2))


def nrmse(magnitude: Magnitudes, truth: Magnitudes) -> float:
    """Root mean square difference over the truth's root mean square, in the leg of all slices; no scale is fitted."""
    leg = leg_mask(truth)
    return float(np.linalg.norm((magnitude - truth)[leg]) / np.linalg.norm(truth[leg]))


def comparison_figure(
    truth: Magnitudes,
    magnitudes: Mapping[Method, Magnitudes],
    errors: Mapping[Method, float],
    pixel_mm: tuple[float, float],
) -> Figure:
    """Truth and every method side by side, middle slice: the leg, the nerves behind the knee, and the error map.

    Args:
        truth: (slice, y, x) in SNR units.
        magnitudes: the same of each method.
        errors: `nrmse` of each method.
        pixel_mm: pixel size (dx, dy).
    """
    middle = len(truth) // 2
    white = float(np.percentile(truth, WHITE_PERCENTILE))
    leg, nerves = _window(truth.shape[1:], pixel_mm, LEG_MM), _window(truth.shape[1:], pixel_mm, NERVES_MM)
    columns: dict[str, Magnitudes] = {"Truth": truth[middle]} | {
        f"{METHOD_NAMES[method]}, error {100 * errors[method]:.1f} %": magnitude[middle]
        for method, magnitude in magnitudes.items()
    }
    heights = [(y[1] - y[0]) / (x[1] - x[0]) for x, y in (LEG_MM, NERVES_MM, LEG_MM)]
    figure = Figure(figsize=(3.2 * len(columns), 0.5 + 3.2 * sum(heights)), facecolor="black")
    figure.set_layout_engine("constrained", h_pad=0.08)
    axes = figure.subplots(3, len(columns), height_ratios=heights)
    aspect = pixel_mm[1] / pixel_mm[0]
    for column, (title, image) in enumerate(columns.items()):
        for axis in axes[:, column]:
            axis.set_axis_off()
        axes[0, column].set_title(title, color="white")
        axes[0, column].imshow(image[leg], cmap="gray", vmin=0, vmax=white, aspect=aspect)
        axes[1, column].imshow(image[nerves], cmap="gray", vmin=0, vmax=white, aspect=aspect)
        if column > 0:
            difference = np.abs(image - truth[middle])[leg]
            axes[2, column].imshow(difference, cmap="inferno", vmin=0, vmax=ERROR_WHITE * white, aspect=aspect)
    axes[2, 0].text(0.02, 0.5, EXPLANATION, color="0.8", va="center", transform=axes[2, 0].transAxes)
    return figure


def _window(shape: tuple[int, ...], pixel_mm: tuple[float, float], window_mm: Window) -> tuple[slice, slice]:
    """Rows and columns of a window (x range, y range) in mm about the centre of the field of view."""
    (x_first, x_last), (y_first, y_last) = window_mm
    dx, dy = pixel_mm
    ny, nx = shape
    rows = slice(max(0, round(ny // 2 + y_first / dy)), round(ny // 2 + y_last / dy))
    return rows, slice(max(0, round(nx // 2 + x_first / dx)), round(nx // 2 + x_last / dx))


def demo_page(budget_s: Mapping[str, float], errors: Mapping[Method, float], n_slices: int, acceleration: float) -> str:
    """The HTML page: the comparison, and how long each stage takes beside the scan's own 33 seconds."""
    total_s = sum(budget_s.values())
    whole_scan_s = total_s / n_slices * NAVIGATING_SLICES
    longest = max(budget_s.values()) or 1.0
    stages = "".join(
        f'<tr><th>{escape(stage)}</th><td class="bar"><i style="width: {100 * seconds / longest:.1f}%"></i></td>'
        f'<td class="number">{seconds:.2f} s</td></tr>'
        for stage, seconds in budget_s.items()
    )
    facts = {
        "Scan": f"{n_slices} slices, acceleration {acceleration:.3g}",
        **{f"Error, {METHOD_NAMES[method]}": f"{100 * errors[method]:.1f} %" for method in errors},
        "Raw file to CS images": f"{total_s:.1f} s",
        f"At this rate, {NAVIGATING_SLICES} slices": f"{whole_scan_s:.0f} s",
    }
    return Template(files("knerve").joinpath("demo.html").read_text(encoding="utf-8")).substitute(
        style=files("knerve.datasets").joinpath("report.css").read_text(encoding="utf-8"),
        research_use=escape(RESEARCH_USE),
        facts="".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items()),
        figure=FIGURE_FILE,
        stages=stages,
        scan_s=f"{NAVIGATING_SCAN_S:.0f}",
        n_scan=NAVIGATING_SLICES,
        whole_scan_s=f"{whole_scan_s:.0f}",
        report=f"{IMAGES_FOLDER}/report.html",
        raw=RAW_FILE,
        images=IMAGES_FOLDER,
    )


def _mark_as_ours(folder: Path, document: Mapping[str, object]) -> None:
    """List every file, so that the next demo knows that it may replace this one."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    report = {MARKER_KEY: 1, **document, FILES_KEY: sorted({*names, MARKER_FILE})}
    (folder / MARKER_FILE).write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
