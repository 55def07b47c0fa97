"""Write an ISMRMRD (MRD) raw file piece by piece, in any order: for scans that are too large to be held.

Room on the disk is asked for first: HDF5 does not survive a disk that fills up under variable-length data.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from ismrmrd.hdf5 import acquisition_dtype
from numpy.typing import NDArray

from knerve.datasets.mrd_writer import READOUTS_PER_CHUNK, Readouts
from knerve.recon.errors import OutputError

BYTES_PER_HEAD = 500  # a head with its place in the heap
SPARE_BYTES = 16 << 20

Index = NDArray[np.int64]


class MrdStream:
    """An open raw file whose readouts are filled in."""

    def __init__(self, data: h5py.Dataset) -> None:
        self._data = data

    def write(self, rows: Index, readouts: Readouts) -> None:
        """Put readouts at these places of the file, ascending; places count from 0 in time."""
        records = np.empty(len(rows), acquisition_dtype)
        records["head"] = readouts.heads
        flat = np.ascontiguousarray(readouts.samples, np.complex64).view(np.float32).reshape(len(rows), -1)
        no_trajectory = np.zeros(0, np.float32)
        for i, values in enumerate(flat):
            records["traj"][i], records["data"][i] = no_trajectory, values
        ends = np.flatnonzero(np.diff(rows) != 1) + 1
        for first, end in zip([0, *ends], [*ends, len(rows)], strict=True):
            self._data[int(rows[first]) : int(rows[first]) + end - first] = records[first:end]


@contextmanager
def mrd_stream(path: Path, header_xml: str, n_readouts: int, bytes_per_readout: int) -> Iterator[MrdStream]:
    """Open a file for `n_readouts`; it gets its name when all is written, and vanishes when something fails.

    Raises:
        OutputError: the file cannot be written, or the disk has no room for it.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    needed = n_readouts * (bytes_per_readout + BYTES_PER_HEAD) + SPARE_BYTES
    advice = f"Check that the folder exists, is writable and has room for {needed / 1e6:.0f} MB."
    try:
        free = shutil.disk_usage(path.parent).free
        if free < needed:
            raise OutputError(f"{path} could not be written: only {free / 1e6:.0f} MB are free. {advice}")
        if path.is_dir():
            raise OutputError(f"{path} is a folder; give the name of a file to write.")
        with h5py.File(aside, "w") as file:
            file.create_dataset("dataset/xml", data=np.array([header_xml], dtype=object), dtype=h5py.string_dtype())
            data = file.create_dataset(
                "dataset/data", (n_readouts,), acquisition_dtype, maxshape=(None,), chunks=(READOUTS_PER_CHUNK,)
            )
            yield MrdStream(data)
        aside.replace(path)
    except OSError as error:
        raise OutputError(f"{path} could not be written ({error}). {advice}") from error
    finally:
        aside.unlink(missing_ok=True)
