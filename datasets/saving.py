"""Everything that leaves knerve after a reconstruction: one folder, complete or not there at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from knerve.datasets.dicom import write_dicom
from knerve.datasets.map_series import map_label, map_series
from knerve.datasets.mrd_images import write_mrd_images
from knerve.datasets.nifti import write_nifti
from knerve.datasets.output_formats import DEFAULT_FORMATS, check_output
from knerve.datasets.plane_series import PlaneSeries, plane_series
from knerve.datasets.png import write_png
from knerve.datasets.report import report_data, report_json
from knerve.datasets.report_figures import report_figures
from knerve.datasets.report_page import report_page
from knerve.datasets.snr_summary import snr_summary
from knerve.datasets.staged_output import MARKER_FILE, staged_directory
from knerve.recon.errors import OutputError
from knerve.recon.images import ImageSeries

if TYPE_CHECKING:
    from knerve.recon.learned.maps.results import TrustMap, TrustMaps

_PAGE_FILE = "report.html"


def save_images(
    images: ImageSeries,
    directory: Path | str,
    *,
    formats: frozenset[str] = DEFAULT_FORMATS,
    complex_images: bool = False,
    source: str = "",
    trust: TrustMaps | None = None,
) -> tuple[Path, ...]:
    """Write the images and their report into `directory`; returns the files, `report.json` among them.

    An earlier knerve output in `directory` is replaced as a whole. The formats are written side by side, in as many threads
    as torch has.

    Args:
        images: what to save.
        directory: a new or empty folder, or one that holds an earlier knerve output and nothing else.
        formats: "mrd" (`images.h5`), "dicom", "nifti", "png" (folders of these names). The report is always written.
        complex_images: keep the complex images in `images.h5` too, as `image_1`.
        source: name of the raw file, for the report; only the last part of a path is kept.
        trust: maps that go into the report, into `images.h5`, and as DICOM series into `dicom_maps`.

    Raises:
        OutputError: an unknown format, a missing package, values that are not finite, a folder that cannot be written.
    """
    directory = Path(directory)
    check_output(directory, formats)
    _refuse_broken_values(images)
    with staged_directory(directory) as staging, ThreadPoolExecutor(torch.get_num_threads()) as pool:
        series = plane_series(images)
        maps = () if trust is None else trust.maps
        writers: dict[str, Callable[[], object]] = {
            "png": partial(write_png, series, staging / "png"),
            "dicom": partial(write_dicom, series, staging / "dicom"),
            "mrd": partial(write_mrd_images, series, staging / "images.h5", complex_images=complex_images, maps=maps),
        }
        jobs = [pool.submit(write) for name, write in writers.items() if name in formats]
        if "dicom" in formats:
            jobs += [pool.submit(_write_map, series, staging / "dicom_maps", *each) for each in enumerate(maps)]
        figures, snr = pool.submit(report_figures, series), pool.submit(snr_summary, series)
        notes = write_nifti(series, staging / "nifti") if "nifti" in formats else ()
        for job in jobs:
            job.result()
        names = sorted({*_file_names(staging), MARKER_FILE, _PAGE_FILE})
        report = report_data(series, snr.result(), source=source, notes=notes, files=names, trust=trust)
        section = "" if trust is None else _trust_section(series, trust)
        (staging / _PAGE_FILE).write_text(report_page(report, figures.result(), section), encoding="utf-8")
        (staging / MARKER_FILE).write_text(report_json(report), encoding="utf-8")
    return tuple(directory / name for name in names)


def _trust_section(series: PlaneSeries, trust: TrustMaps) -> str:
    from knerve.datasets.trust_section import trust_section  # here: nobody else waits for what it imports

    return trust_section(series, trust)


def _write_map(series: PlaneSeries, folder: Path, number: int, shown: TrustMap) -> object:
    return write_dicom(map_series(series, shown), folder / shown.key, map_label(shown, number))


def _refuse_broken_values(images: ImageSeries) -> None:
    finite = torch.isfinite(torch.view_as_real(images.image))
    if not bool(finite.all()):
        n_broken = int((~finite).any(-1).sum())
        raise OutputError(
            f"{n_broken} of {images.image.numel()} pixels are not finite (NaN or infinity); nothing was saved. "
            "Please report this with the settings: a reconstruction must never end like this."
        )


def _file_names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
