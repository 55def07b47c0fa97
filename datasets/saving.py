"""Everything that leaves knerve after a reconstruction: one folder, complete or not there at all."""

from __future__ import annotations

from pathlib import Path

import torch

from knerve.datasets.dicom import write_dicom
from knerve.datasets.mrd_images import write_mrd_images
from knerve.datasets.nifti import require_nibabel, write_nifti
from knerve.datasets.png import write_png
from knerve.datasets.report import report_data, report_json
from knerve.datasets.report_page import report_page
from knerve.datasets.staged_output import MARKER_FILE, check_target, staged_directory
from knerve.recon.errors import OutputError
from knerve.recon.images import ImageSeries

FORMATS = frozenset({"mrd", "dicom", "nifti", "png"})
DEFAULT_FORMATS = frozenset({"mrd", "dicom", "png"})
_PAGE_FILE = "report.html"


def save_images(
    images: ImageSeries,
    directory: Path | str,
    *,
    formats: frozenset[str] = DEFAULT_FORMATS,
    complex_images: bool = False,
    source: str = "",
) -> tuple[Path, ...]:
    """Write the images and their report into `directory`; returns the files, `report.json` among them.

    An earlier knerve output in `directory` is replaced as a whole.

    Args:
        images: what to save.
        directory: a new or empty folder, or one that holds an earlier knerve output and nothing else.
        formats: "mrd" (`images.h5`), "dicom", "nifti", "png" (folders of these names). The report is always written.
        complex_images: keep the complex images in `images.h5` too, as `image_1`.
        source: name of the raw file, for the report; only the last part of a path is kept.

    Raises:
        OutputError: an unknown format, a missing package, values that are not finite, a folder that cannot be written.
    """
    directory = Path(directory)
    check_output(directory, formats)
    _refuse_broken_values(images)
    with staged_directory(directory) as staging:
        notes: tuple[str, ...] = ()
        if "mrd" in formats:
            write_mrd_images(images, staging / "images.h5", complex_images=complex_images)
        if "dicom" in formats:
            write_dicom(images, staging / "dicom")
        if "nifti" in formats:
            notes = write_nifti(images, staging / "nifti")
        if "png" in formats:
            write_png(images, staging / "png")
        names = sorted({*_file_names(staging), MARKER_FILE, _PAGE_FILE})
        report = report_data(images, source=source, notes=notes, files=names)
        (staging / _PAGE_FILE).write_text(report_page(images, report), encoding="utf-8")
        (staging / MARKER_FILE).write_text(report_json(report), encoding="utf-8")
    return tuple(directory / name for name in names)


def check_output(directory: Path | str, formats: frozenset[str] = DEFAULT_FORMATS) -> None:
    """Refuse now what `save_images` would refuse after a long reconstruction.

    Raises:
        OutputError: an unknown format, a missing package or a folder that cannot be written.
    """
    unknown = sorted(formats - FORMATS)
    if unknown:
        raise OutputError(f"output format {', '.join(unknown)} is unknown; choose from {', '.join(sorted(FORMATS))}.")
    if "nifti" in formats:
        require_nibabel()
    check_target(Path(directory))


def _refuse_broken_values(images: ImageSeries) -> None:
    n_broken = int((~torch.isfinite(torch.view_as_real(images.image))).any(-1).sum())
    if n_broken:
        raise OutputError(
            f"{n_broken} of {images.image.numel()} pixels are not finite (NaN or infinity); nothing was saved. "
            "Please report this with the settings: a reconstruction must never end like this."
        )


def _file_names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
