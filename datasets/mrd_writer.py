"""Write an ISMRMRD (MRD) raw file in bulk: the header text and arrays of readouts, one HDF5 write for all of them.

Readouts come in blocks of equal length (noise readouts, imaging readouts), each `samples (readout, coil, sample)` with
one 340-byte head a readout; the blocks follow each other in the file in the order given, which is the order in time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ismrmrd.hdf5 import acquisition_dtype, acquisition_header_dtype
from numpy.typing import NDArray

from knerve.recon.errors import OutputError

READOUTS_PER_CHUNK = 64  # a head is 400 bytes: fewer per chunk only cost index pages
MAX_CHANNELS_IN_MASK = 64
GROWTH_BYTES = 1 << 26  # of the file while it is built in memory


@dataclass(frozen=True)
class Readouts:
    """Readouts of one length, in the order of time.

    Attributes:
        samples: (readout, coil, sample) complex64.
        heads: (readout,) structured, the fields of the ISMRMRD acquisition header; start from `new_heads`.
    """

    samples: NDArray[np.complex64]
    heads: NDArray[Any]

    def __post_init__(self) -> None:
        """Refuse heads that do not belong to the samples."""
        if self.samples.ndim != 3 or self.heads.shape != self.samples.shape[:1]:
            raise ValueError(
                f"samples {self.samples.shape} need the shape (readout, coil, sample) and one head a readout, "
                f"not {self.heads.shape} heads."
            )


def new_heads(samples: NDArray[np.complex64], *, sample_time_us: float) -> NDArray[Any]:
    """Heads for `samples (readout, coil, sample)`: sizes, k-space centre in the middle, everything else zero.

    The caller fills in `flags` (see `flag_bits`), `idx`, `position`, the directions and the time stamps.
    """
    n_readouts, n_coils, n_samples = samples.shape
    heads = np.zeros(n_readouts, acquisition_header_dtype)
    heads["version"] = 1
    heads["number_of_samples"] = n_samples
    heads["available_channels"] = heads["active_channels"] = n_coils
    heads["channel_mask"][:, 0] = 2 ** min(n_coils, MAX_CHANNELS_IN_MASK) - 1
    heads["center_sample"] = n_samples // 2
    heads["sample_time_us"] = sample_time_us
    return heads


def flag_bits(*numbers: int) -> int:
    """Return the `flags` word in which these ISMRMRD flags (numbered from 1) are set."""
    return sum(1 << (number - 1) for number in numbers)


def write_mrd(
    path: Path,
    header_xml: str,
    blocks: Sequence[Readouts],
    *,
    group: str = "dataset",
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write `/<group>/xml` and `/<group>/data`, aside first and then under its name: what bears the name is complete.

    Args:
        path: file to make; one that exists is replaced.
        header_xml: ISMRMRD header as text.
        blocks: readouts, in the order of time.
        group: HDF5 group of the raw data.
        arrays: more HDF5 data sets by their full names, such as "truth/rss".

    Raises:
        OutputError: the file cannot be written.
    """
    content = _file_content(header_xml, blocks, group, arrays or {})
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} could not be written ({error}). Check that the folder exists, is writable and has room for "
            f"{len(content) / 1e6:.0f} MB."
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _file_content(
    header_xml: str, blocks: Sequence[Readouts], group: str, arrays: Mapping[str, NDArray[Any]]
) -> memoryview:
    """The whole HDF5 file, built in memory: writing variable-length data to a full disk crashes HDF5 2.0 itself."""
    with h5py.File("in memory", "w", driver="core", backing_store=False, block_size=GROWTH_BYTES) as file:
        file.create_dataset(f"{group}/xml", data=np.array([header_xml], dtype=object), dtype=h5py.string_dtype())
        file.create_dataset(f"{group}/data", data=_records(blocks), maxshape=(None,), chunks=(READOUTS_PER_CHUNK,))
        for name, values in arrays.items():
            file.create_dataset(name, data=values)
        file.flush()
        return memoryview(file.id.get_file_image())


def _records(blocks: Iterable[Readouts]) -> NDArray[Any]:
    """All blocks as one array of {head, traj, data} records; samples as interleaved float32, channel by channel."""
    blocks = list(blocks)
    records = np.empty(sum(len(block.heads) for block in blocks), acquisition_dtype)
    no_trajectory = np.zeros(0, np.float32)
    row = 0
    for block in blocks:
        samples = np.ascontiguousarray(block.samples, np.complex64)
        flat = samples.view(np.float32).reshape(len(block.heads), -1)
        for head, values in zip(block.heads, flat, strict=True):
            records[row] = (head, no_trajectory, values)
            row += 1
    return records
