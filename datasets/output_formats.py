"""The formats in which images are written, and the early word on whether they can be."""

from __future__ import annotations

from pathlib import Path

from knerve.datasets.staged_output import check_target
from knerve.recon.errors import OutputError

FORMATS = frozenset({"mrd", "dicom", "nifti", "png"})
DEFAULT_FORMATS = frozenset({"mrd", "dicom", "png"})


def check_output(directory: Path | str, formats: frozenset[str] = DEFAULT_FORMATS) -> None:
    """Refuse now what `save_images` would refuse after a long reconstruction.

    Raises:
        OutputError: an unknown format, a missing package or a folder that cannot be written.
    """
    unknown = sorted(formats - FORMATS)
    if unknown:
        raise OutputError(f"output format {', '.join(unknown)} is unknown; choose from {', '.join(sorted(FORMATS))}.")
    if "nifti" in formats:
        from knerve.datasets.nifti import require_nibabel  # here: other formats need not wait for what it imports

        require_nibabel()
    check_target(Path(directory))
