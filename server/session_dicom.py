"""The images of a session as DICOM files, written once: what was sent to a receiver keeps its identifiers."""

from __future__ import annotations

import os
import shutil

from knerve.datasets.dicom import write_dicom
from knerve.datasets.plane_series import plane_series
from knerve.recon.images import ImageSeries
from knerve.server.spool import SessionFolder

PREVIEWS = "preview"


def keep_dicom(images: ImageSeries, folder: SessionFolder, previews: ImageSeries | None = None) -> None:
    """Write the DICOM files of a session, all or none; those that are there stay.

    Args:
        images: as good as they become.
        folder: of the session.
        previews: of the same slices, which stay beside better ones so that a reader can compare.
    """
    if folder.dicom.exists():
        return
    aside = folder.path / f".dicom.{os.getpid()}.part"
    try:
        write_dicom(plane_series(images), aside)
        if previews is not None:
            for path in write_dicom(plane_series(previews), aside / PREVIEWS):
                path.rename(aside / f"{PREVIEWS}_{path.name}")
            (aside / PREVIEWS).rmdir()
        aside.rename(folder.dicom)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
