"""Heads from the bytes of the chunks are those that HDF5 gives, and None where the bytes do not hold them plainly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ismrmrd.hdf5 import acquisition_dtype
from numpy.typing import NDArray

from knerve.datasets.stored_heads import stored_member


@pytest.fixture
def records() -> NDArray[Any]:
    """Ten readouts of random heads with samples of different lengths."""
    rng = np.random.default_rng(0)
    head = acquisition_dtype["head"]
    made = np.zeros(10, acquisition_dtype)
    made["head"] = np.frombuffer(rng.integers(0, 127, 10 * head.itemsize, np.uint8).tobytes(), head)
    for i in range(10):
        made["data"][i], made["traj"][i] = np.ones(2 * i, np.float32), np.zeros(0, np.float32)
    return made


def _stored(path: Path, records: NDArray[Any], **options: Any) -> NDArray[Any] | None:
    with h5py.File(path, "w", libver=options.pop("libver", None)) as file:
        file.create_dataset("data", data=records, dtype=acquisition_dtype, **options)
    with h5py.File(path) as file:
        return stored_member(file["data"], "head")


@pytest.mark.parametrize("chunk", [1, 4, 10, 16])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_heads_of_chunks(tmp_path: Path, records: NDArray[Any], chunk: int, libver: str) -> None:
    heads = _stored(tmp_path / "scan.h5", records, chunks=(chunk,), maxshape=(None,), libver=libver)
    assert heads is not None
    np.testing.assert_array_equal(heads, records["head"])


@pytest.mark.parametrize("options", [{}, {"chunks": (4,), "compression": "gzip"}, {"chunks": (4,), "fletcher32": True}])
def test_none_where_the_bytes_are_not_plain(tmp_path: Path, records: NDArray[Any], options: dict[str, Any]) -> None:
    assert _stored(tmp_path / "scan.h5", records, **options) is None


def test_none_where_chunks_were_never_written(tmp_path: Path, records: NDArray[Any]) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = file.create_dataset("data", (10,), acquisition_dtype, chunks=(2,))
        data[:4] = records[:4]
        assert stored_member(data, "head") is None


def test_none_for_a_member_of_variable_length(tmp_path: Path, records: NDArray[Any]) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = file.create_dataset("data", data=records, dtype=acquisition_dtype, chunks=(2,))
        assert stored_member(data, "data") is None
