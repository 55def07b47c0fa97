"""Read a raw file of any known format: what the file holds decides, its name only where a format is a pair of files."""

from __future__ import annotations

from pathlib import Path

import h5py

from knerve.datasets.bart import bart_pair, read_bart
from knerve.datasets.fastmri import read_fastmri
from knerve.datasets.mrd_file import read_mrd
from knerve.datasets.twix import read_twix
from knerve.datasets.twix_blocks import looks_like_twix
from knerve.recon.errors import RawDataError
from knerve.recon.scan import RawScan

KNOWN_FORMATS = "ISMRMRD/MRD (.h5, .mrd), fastMRI (.h5), Siemens TWIX (.dat), BART (.cfl with .hdr)"
LOOK_ALIKES = (
    (128, b"DICM", "a DICOM file: images that are reconstructed already"),
    (0, b"\x93NUMPY", "a NumPy array without a header: say what its axes are by writing it as ISMRMRD or BART"),
    (0, b"MATLAB 5.0", "a MATLAB file: export the raw data as ISMRMRD"),
    (0, b"PK\x03\x04", "a zip archive: unpack it first"),
    (0, b"\x1f\x8b", "gzip-compressed: unpack it first"),
    (
        0,
        b"knerve journal",
        "a journal of knerve serve: read raw.h5 beside it, which the server writes, at its next start if need be",
    ),
)


def read_raw(path: Path, *, group: str | None = None) -> RawScan:
    """Read one raw file.

    Args:
        path: the file; for BART either half of the pair or their common name.
        group: HDF5 group (ISMRMRD) or measurement (TWIX) to read where a file holds several.

    Raises:
        RawDataError: there is no such file, it is of no known format, or it cannot be placed in k-space.
    """
    if path.is_dir():
        raise RawDataError(f"{path} is a folder; name one raw file in it. Known formats: {KNOWN_FORMATS}.")
    if _is_bart(path):
        _refuse_group(group, path, "A BART file")
        return read_bart(path)
    if not path.is_file():
        raise RawDataError(f"{path} does not exist. Check the name; known formats: {KNOWN_FORMATS}.")
    try:
        start = _first_bytes(path)
        if h5py.is_hdf5(path):
            return _read_hdf5(path, group)
        if looks_like_twix(path):
            return read_twix(path, group)
    except PermissionError as error:
        raise RawDataError(f"{path} may not be read (no permission); change its permissions or copy it.") from error
    raise RawDataError(f"{path} {_what_it_is(start)}. Known formats: {KNOWN_FORMATS}.")


def _is_bart(path: Path) -> bool:
    """Whether `path` names a half of a pair, or both halves stand beside it under its name."""
    if path.suffix in (".cfl", ".hdr"):
        return any(half.is_file() for half in bart_pair(path))
    return not path.is_file() and all(half.is_file() for half in bart_pair(path))


def _read_hdf5(path: Path, group: str | None) -> RawScan:
    if group is None and _has_fastmri_members(path):
        return read_fastmri(path)
    return read_mrd(path, group)


def _has_fastmri_members(path: Path) -> bool:
    """Whether k-space lies at the root of the file; one that cannot be opened is left to the ISMRMRD reader to explain."""
    try:
        with h5py.File(path) as file:
            return isinstance(file.get("kspace"), h5py.Dataset)
    except OSError:
        return False


def _refuse_group(group: str | None, path: Path, kind: str) -> None:
    if group is not None:
        raise RawDataError(f"{kind} holds one scan, but group {group!r} of {path} was asked for; leave the group out.")


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(256)


def _what_it_is(start: bytes) -> str:
    if not start:
        return "is empty"
    for offset, mark, words in LOOK_ALIKES:
        if start[offset : offset + len(mark)] == mark:
            return f"is {words}"
    return f"is of no known format (it begins with {start[:16]!r})"
