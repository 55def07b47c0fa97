"""The HDF5 layer of MRD (ISMRMRD) raw files: a group with `xml` (the header) and `data` (the readouts).

Members of the compound types are addressed by name: writers pack them differently, and what this reader does not need may be
missing. The file is gone through twice: once for all heads (some 340 bytes each), then in blocks for the samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from knerve.datasets.stored_heads import stored_member
from knerve.recon.errors import RawDataError, UnsupportedError

DEFAULT_GROUP = "dataset"
READOUTS_PER_BLOCK = 64  # of 16 coils take 9 MB, which stay in the processor's cache
COUNTERS = (
    "kspace_encode_step_1",
    "kspace_encode_step_2",
    "average",
    "slice",
    "contrast",
    "phase",
    "repetition",
    "set",
    "segment",
)
NEEDED_MEMBERS = ("flags", "number_of_samples", "active_channels")
HEAD = np.dtype(
    [("flags", np.uint64), ("sample_time_us", np.float64)]
    + [(name, np.int64) for name in ("number_of_samples", "active_channels", "discard_pre", "discard_post")]
    + [(name, np.int64) for name in ("center_sample", "encoding_space_ref", "acquisition_time_stamp")]
    + [(name, np.float64, 3) for name in ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")]
    + [(name, np.int64) for name in COUNTERS]
)
"""What the reader uses of a readout's head, in wide types and with the counters of `idx` beside the rest."""

Heads = NDArray[np.void]


@dataclass(frozen=True)
class Block:
    """Samples of the readouts `first` to `end` (exclusive) of a file, in its order."""

    first: int
    end: int
    _heads: Heads
    _stored: list[NDArray[np.floating[Any]]]

    def samples(self, readouts: NDArray[np.int64]) -> NDArray[np.complex64]:
        """Samples of these readouts of the file, all of the same size: (readout, coil, sample).

        Raises:
            RawDataError: more or fewer values are stored than the head says.
        """
        heads = self._heads[readouts]
        n_coils, n_samples = int(heads["active_channels"][0]), int(heads["number_of_samples"][0])
        stored = [self._stored[i - self.first] for i in readouts]
        for readout, values in zip(readouts, stored, strict=True):
            if len(values) != 2 * n_coils * n_samples:
                raise RawDataError(
                    f"Readout {readout} holds {len(values)} values, but its head says {n_coils} channels of {n_samples} complex "
                    f"samples, {2 * n_coils * n_samples} values. The file was written wrongly or is damaged."
                )
        return np.concatenate(stored, dtype=np.float32).view(np.complex64).reshape(-1, n_coils, n_samples)


@dataclass(frozen=True)
class MrdGroup:
    """An open group of raw data.

    Attributes:
        name: of the group.
        header_xml: the header as it stands in the file.
        heads: (readout,) of dtype `HEAD`, in the order of the file.
        notes: what was assumed in choosing the group.
    """

    name: str
    header_xml: str | bytes
    heads: Heads
    notes: tuple[str, ...]
    _data: h5py.Dataset

    def blocks(self, readouts_per_block: int = READOUTS_PER_BLOCK) -> Iterator[Block]:
        """All samples in the order of the file.

        Raises:
            RawDataError: the file is damaged.
        """
        for first, records in _records(self._data, readouts_per_block):
            yield Block(first, first + len(records), self.heads, list(records["data"]))


@contextmanager
def open_group(path: Path, group: str | None = None) -> Iterator[MrdGroup]:
    """Open the raw data of a file; `group` None takes "dataset", or else the only group that holds raw data.

    Raises:
        RawDataError: no such file or group, not HDF5, cut short, or no readouts inside.
        UnsupportedError: the samples are stored as something else than floating-point numbers.
    """
    if not path.is_file():
        raise RawDataError(f"{path} is not there (or is a folder); the path of an ISMRMRD HDF5 file was expected.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if path.stat().st_size == 0:
            raise RawDataError(f"{path} is empty (0 bytes); an ISMRMRD HDF5 file was expected.") from error
        if not h5py.is_hdf5(path):
            raise RawDataError(f"{path} is not an HDF5 file ({error}); an ISMRMRD HDF5 file was expected.") from error
        raise RawDataError(
            f"{path} begins as an HDF5 file but cannot be opened ({error}): it is damaged or cut short. Copy it again."
        ) from error
    with file:
        with _damage_explained(path.name):
            name, notes = _choose_group(file, group, path)
            opened = _read_group(file[name], name, notes)
        yield opened


def _choose_group(file: h5py.File, asked: str | None, path: Path) -> tuple[str, tuple[str, ...]]:
    """Name of the group to read, with a note where there was something to choose."""
    raw = [name for name in file if _holds_raw_data(file, name)]
    if asked is not None:
        if asked not in file or not isinstance(file[asked], h5py.Group):
            raise RawDataError(f"{path.name} has no group '{asked}'; {_groups_in(file, raw)}.")
        if not _holds_raw_data(file, asked):
            raise RawDataError(
                f"Group '{asked}' of {path.name} holds {_listed(file[asked])}, but raw data need 'xml' and 'data'; "
                f"{_groups_in(file, raw)}."
            )
        return asked, ()
    if DEFAULT_GROUP in raw:
        return DEFAULT_GROUP, ()
    if len(raw) == 1:
        return raw[0], (f"There is no group '{DEFAULT_GROUP}'; the only raw data, in group '{raw[0]}', were read.",)
    if raw:
        raise RawDataError(
            f"{path.name} holds several raw data sets, in groups {', '.join(raw)}: say which group to read."
        )
    raise RawDataError(f"{path.name} holds no MRD raw data (a group with 'xml' and 'data'); it holds {_listed(file)}.")


def _holds_raw_data(file: h5py.File, name: str) -> bool:
    group = file.get(name)
    return isinstance(group, h5py.Group) and all(isinstance(group.get(part), h5py.Dataset) for part in ("xml", "data"))


def _groups_in(file: h5py.File, raw: list[str]) -> str:
    return f"groups with raw data: {', '.join(raw)}" if raw else f"it holds {_listed(file)}, none of it MRD raw data"


def _listed(group: h5py.Group) -> str:
    return ", ".join(f"'{name}'" for name in group) or "nothing"


def _read_group(group: h5py.Group, name: str, notes: tuple[str, ...]) -> MrdGroup:
    data = group["data"]
    members = data.dtype.names or ()
    if data.ndim != 1 or "head" not in members or "data" not in members:
        raise RawDataError(
            f"'{name}/data' has shape {data.shape} and members {', '.join(members) or 'none'}; a list of readouts with "
            "'head' and 'data' was expected. Is this an ISMRMRD file?"
        )
    if len(data) == 0:
        raise RawDataError(f"'{name}/data' is empty: the file holds a header but no readouts. Was the scan aborted?")
    stored = h5py.check_vlen_dtype(data.dtype["data"])
    if stored is None or np.dtype(stored).kind != "f":
        raise UnsupportedError(
            f"Samples in '{name}/data' are stored as {stored or data.dtype['data']}; knerve reads variable-length lists of "
            "float32 (real and imaginary parts interleaved)."
        )
    with _damage_explained(f"'{name}/xml'"):
        header_xml = _first_text(group["xml"])
    with _damage_explained(f"'{name}/data'"):
        heads = stored_member(data, "head")
    if heads is None:
        heads = np.concatenate([records["head"] for _, records in _records(data, READOUTS_PER_BLOCK)])
    return MrdGroup(name, header_xml, _heads(heads, name), notes, data)


def _records(data: h5py.Dataset, readouts_per_block: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Whole readouts in blocks, each with the index of its first.

    Whole, because h5py does not free variable-length members that were read but not asked for.
    """
    for first in range(0, len(data), readouts_per_block):
        with _damage_explained(f"'{data.name}' from readout {first} on"):
            records = data[first : first + readouts_per_block]
        yield first, records


@contextmanager
def _damage_explained(what: str) -> Iterator[None]:
    """Turn what h5py raises over a damaged file into words for the user."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise RawDataError(
            f"{what} cannot be read ({error}): the file is damaged or cut short. Copy it again."
        ) from error


def _first_text(xml: h5py.Dataset) -> str | bytes:
    texts = np.atleast_1d(xml[()]).ravel()
    first = texts[0] if len(texts) else b""
    return first if isinstance(first, (str, bytes)) else str(first)


def _heads(stored: NDArray[Any], name: str) -> Heads:
    """The stored heads as `HEAD`; members that are missing and not needed stay zero."""
    members = stored.dtype.names or ()
    counters = stored["idx"].dtype.names or () if "idx" in members else ()
    missing = [member for member in NEEDED_MEMBERS if member not in members]
    missing += [f"idx.{COUNTERS[0]}"] if COUNTERS[0] not in counters else []
    if missing:
        raise RawDataError(
            f"The heads in '{name}/data' have no {', '.join(missing)}, without which nothing can be placed."
        )
    heads = np.zeros(len(stored), HEAD)
    for member in HEAD.names or ():
        if member in counters:
            heads[member] = stored["idx"][member]
        elif member in members:
            heads[member] = stored[member]
    return heads
