"""The main job on built-in data: a knee, the scan that follows the needle, its images, and the nerves beside the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from knerve.datasets.knee import Knee, digital_knee
from knerve.datasets.png_bytes import png_bytes
from knerve.datasets.reading import read_raw
from knerve.datasets.saving import save_images
from knerve.datasets.simulate import simulate
from knerve.datasets.staged_output import FILES_KEY, MARKER_FILE, MARKER_KEY, check_target, staged_directory
from knerve.datasets.wording import counted
from knerve.demo_figures import Figures
from knerve.demo_page import (
    ANATOMY,
    FIGURES_FOLDER,
    Outcome,
    crop_file,
    demo_page,
    error_file,
    headings,
    sheet_words,
    whole_file,
)
from knerve.demo_scores import TRUTH, method_name, score
from knerve.demo_sheet import comparison_sheet
from knerve.demo_stack import GENICULAR, of_slices, through_the_nerves
from knerve.demo_truth import read_truth
from knerve.recon.images import RESEARCH_USE, ImageSeries
from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import Grid, RawScan
from knerve.recon.settings import Method, Settings
from knerve.sequences.protocol import Protocol
from knerve.terminal import Terminal, facts_table, to_json

PROTOCOL = "navigate"
RAW_FILE = "raw.h5"
IMAGES_FOLDER = "images"
SHEET_FILE = "comparison.png"
PAGE_FILE = "demo.html"
METHODS: tuple[Method, ...] = get_args(Method)
BEST = METHODS[-1]  # whose images are saved
WHOLE_PER_MM, CROP_PER_MM = 4.0, 22.0  # pixels of the pictures
ABOUT = f"{RESEARCH_USE} A simulated knee, no patient."


def run_demo(talk: Terminal, out: Path, *, n_slices: int, seed: int) -> None:
    """Write raw file, truth, images, figures and a page into `out`; an earlier demo there is replaced as a whole.

    Raises:
        OutputError: `out` cannot be written or holds files of others.
        ProtocolError: so many slices do not fit into the scan.
    """
    check_target(out)
    protocol = of_slices(Protocol.load(PROTOCOL), n_slices)
    clock = Clock()
    with staged_directory(out) as folder:
        with clock.step("draw the knee"):
            talk.step("Drawing a knee")
            knee = digital_knee(seed)
        with clock.step("simulate the scan"), talk.slices("Simulating the scan") as on_progress:
            settings = through_the_nerves(knee, seed)
            scan = simulate(protocol, knee, folder / RAW_FILE, settings=settings, on_progress=on_progress)
        with clock.step("read the raw file"):
            talk.step("Reading the raw file")
            raw = read_raw(folder / RAW_FILE)
        series: dict[str, ImageSeries] = {
            method: _reconstruct(talk, clock, raw, Settings(method=method, seed=seed)) for method in METHODS
        }
        with clock.step("save"):
            talk.step("Writing the images")
            save_images(series[BEST], folder / IMAGES_FOLDER, source=RAW_FILE)
        with clock.step("compare with the truth"):
            talk.step("Comparing with the truth")
            truth = read_truth(scan.truth, targets_mm(knee), pixel_mm(raw.grid))
            shown = {method: images.magnitude.numpy() for method, images in series.items()}
            scores = score(truth, shown)
            views = {name: nerve.view for name, nerve in scores.nerves.items()}
            figures = Figures(truth, {TRUTH: truth.image} | shown, views)
            outcome = Outcome(figures, scores, BEST, scan.scan_s, raw.acceleration, clock.seconds, series[BEST].seconds)
            _draw(folder, outcome)
        (folder / PAGE_FILE).write_text(demo_page(outcome), encoding="utf-8")
        document = _document(outcome, protocol, clock, series)
        _mark_as_ours(folder, document)
    talk.answer({"out": out, "page": out / PAGE_FILE} | document, facts_table(_facts(out, outcome)), RESEARCH_USE)


class Clock:
    """Adds up wall and processor seconds of steps.

    Attributes:
        seconds: by the step's name, {"wall": ..., "cpu": ...}; processor seconds are those of all cores together.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def targets_mm(knee: Knee) -> dict[str, NDArray[np.float64]]:
    """Where needles go, by the nerve's name, in patient coordinates (LPS)."""
    return {name: np.array(knee.landmarks[f"target: {name}"]) for name in GENICULAR}


def pixel_mm(grid: Grid) -> tuple[float, float]:
    """Size of an image's pixel (dx, dy)."""
    return grid.recon_fov_mm[0] / grid.recon_matrix[0], grid.recon_fov_mm[1] / grid.recon_matrix[1]


def _reconstruct(talk: Terminal, clock: Clock, raw: RawScan, settings: Settings) -> ImageSeries:
    with clock.step(settings.method), talk.slices(f"Reconstructing ({settings.method})") as on_slices_done:
        images = reconstruct(raw, settings, on_slices_done)
    talk.notes(images.notes)
    return images


def _draw(folder: Path, outcome: Outcome) -> None:
    """Write every picture."""
    figures = outcome.figures
    pictures: dict[str, Image.Image] = {}
    for name in figures.views:
        pictures[crop_file(name, ANATOMY)] = figures.anatomy(name, CROP_PER_MM)
    for series in figures.series:
        pictures[whole_file(series)] = figures.whole(series, WHOLE_PER_MM)
        if series != TRUTH:
            pictures[error_file(series)] = figures.error(series, WHOLE_PER_MM)
        for name in figures.views:
            pictures[crop_file(name, series)] = figures.crop(name, series, CROP_PER_MM)
    pictures[SHEET_FILE] = comparison_sheet(figures, headings(outcome.scores), sheet_words(outcome))
    (folder / FIGURES_FOLDER).mkdir()
    for file, picture in pictures.items():
        (folder / file).write_bytes(png_bytes(picture, ABOUT))


def _document(
    outcome: Outcome, protocol: Protocol, clock: Clock, series: Mapping[str, ImageSeries]
) -> dict[str, object]:
    return {
        "research_use": RESEARCH_USE,
        "protocol": protocol.name,
        "slices": outcome.n_slices,
        "scan_seconds": outcome.scan_s,
        "acceleration": outcome.acceleration,
        **outcome.scores.as_dict(),
        "seconds": clock.seconds,
        "stages": {method: images.seconds for method, images in series.items()},
    }


def _facts(out: Path, outcome: Outcome) -> dict[str, object]:
    """The last words of the command."""
    best = outcome.best
    return {
        "error against the truth": {
            method_name(key): f"{100 * each:.1f} %" for key, each in outcome.scores.nrmse.items()
        },
        f"contrast of the nerves, {method_name(best)} (truth)": {
            name: f"{100 * nerve.contrast[best]:.0f} % ({100 * nerve.contrast[TRUTH]:.0f} %), slice {nerve.view.slice}"
            for name, nerve in outcome.scores.nerves.items()
        }
        | dict.fromkeys(outcome.scores.missing, "not in these slices"),
        "raw file to images": f"{outcome.waiting_s:.1f} s for {counted(outcome.n_slices, 'slice')}",
        "the scan itself": f"{outcome.scan_s:.0f} s",
        "look at": out / PAGE_FILE,
        "images": out / IMAGES_FOLDER,
        "raw file": out / RAW_FILE,
    }


def _mark_as_ours(folder: Path, document: Mapping[str, object]) -> None:
    """List every file, so that the next demo knows that it may replace this one."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    report = {MARKER_KEY: 1, **document, FILES_KEY: sorted({*names, MARKER_FILE})}
    (folder / MARKER_FILE).write_text(to_json(report) + "\n", encoding="utf-8")
