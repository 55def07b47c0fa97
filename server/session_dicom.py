"""The images of a session as DICOM files, written once: what was sent to a receiver keeps its identifiers."""

from __future__ import annotations

import os
import shutil

from knerve.datasets.dicom import write_dicom
from knerve.datasets.plane_series import plane_series
from knerve.recon.images import ImageSeries
from knerve.server.spool import SessionFolder


def keep_dicom(images: ImageSeries, folder: SessionFolder) -> None:
    """Write the DICOM files of a session, all or none; those that are there stay."""
    if folder.dicom.exists():
        return
    aside = folder.path / f".dicom.{os.getpid()}.part"
    try:
        write_dicom(plane_series(images), aside)
        aside.rename(folder.dicom)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
