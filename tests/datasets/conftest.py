"""Tiny ISMRMRD files, written with h5py and the compound types of the `ismrmrd` package, so that the reader meets a stranger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ismrmrd.hdf5 import acquisition_dtype
from numpy.typing import NDArray

Readout = dict[str, Any]
WriteScan = Callable[..., Path]
HeaderXml = Callable[..., str]


def _space(name: str, matrix: Sequence[object], fov: Sequence[object]) -> str:
    sizes = "".join(f"<{axis}>{value}</{axis}>" for axis, value in zip("xyz", matrix, strict=True))
    lengths = "".join(f"<{axis}>{value}</{axis}>" for axis, value in zip("xyz", fov, strict=True))
    return f"<{name}><matrixSize>{sizes}</matrixSize><fieldOfView_mm>{lengths}</fieldOfView_mm></{name}>"


@pytest.fixture
def encoding_xml() -> HeaderXml:
    """One `encoding` element; `centres` of ky and kz None leave encodingLimits out."""

    def make(
        matrix: Sequence[object] = (8, 6, 1),
        fov: Sequence[object] = (80, 60, 5),
        *,
        recon_matrix: Sequence[object] | None = (4, 6, 1),
        recon_fov: Sequence[object] = (40, 60, 5),
        centres: tuple[int, int] | None = (3, 0),
        limits: str = "",
        trajectory: str = "<trajectory>cartesian</trajectory>",
        calibration: str = "",
    ) -> str:
        parts = _space("encodedSpace", matrix, fov)
        if recon_matrix is not None:
            parts += _space("reconSpace", recon_matrix, recon_fov)
        if centres is not None:
            steps = "".join(
                f"<kspace_encoding_step_{n}><minimum>0</minimum><maximum>9</maximum><center>{centre}</center>"
                f"</kspace_encoding_step_{n}>"
                for n, centre in zip((1, 2), centres, strict=True)
            )
            parts += f"<encodingLimits>{steps}{limits}</encodingLimits>"
        if calibration:
            calibration = f"<parallelImaging><calibrationMode>{calibration}</calibrationMode></parallelImaging>"
        return f"<encoding>{parts}{trajectory}{calibration}</encoding>"

    return make


@pytest.fixture
def header_xml(encoding_xml: HeaderXml) -> HeaderXml:
    """A whole header: these encodings (by default one of 8 x 6, readout oversampled twice) behind `extra` elements."""

    def make(*encodings: str, extra: str = "", namespace: str = ' xmlns="http://www.ismrm.org/ISMRMRD"') -> str:
        body = "".join(encodings or (encoding_xml(),))
        return f'<?xml version="1.0"?>\n<ismrmrdHeader{namespace}>{extra}{body}</ismrmrdHeader>'

    return make


@pytest.fixture
def write_scan(tmp_path: Path, header_xml: HeaderXml) -> WriteScan:
    """Write readouts, each a dict of `samples (coil, sample)`, `flags` (numbers) and any members of the head or of `idx`."""

    def write(
        readouts: Sequence[Readout],
        header: str | None = None,
        *,
        group: str = "dataset",
        dtype: np.dtype[Any] = acquisition_dtype,
        name: str = "scan.h5",
    ) -> Path:
        records = np.zeros(len(readouts), dtype)
        for record, readout in zip(records, readouts, strict=True):
            _fill(record, dict(readout))
        path = tmp_path / name
        with h5py.File(path, "a") as file:
            text = header_xml() if header is None else header
            file.create_dataset(f"{group}/xml", data=[text], dtype=h5py.string_dtype())
            file.create_dataset(f"{group}/data", data=records, dtype=dtype, maxshape=(None,), chunks=(1,))
        return path

    return write


def _fill(record: np.void, readout: Readout) -> None:
    samples: NDArray[Any] = np.asarray(readout.pop("samples"), np.complex64)
    n_coils, n_samples = samples.shape
    head = record["head"]
    values = {
        "active_channels": n_coils,
        "number_of_samples": n_samples,
        "center_sample": n_samples // 2,
        "sample_time_us": 5.0,
        "flags": sum(1 << (flag - 1) for flag in readout.pop("flags", ())),
        **readout,
    }
    for member, value in values.items():
        if member in head.dtype.names:
            head[member] = value
        elif member in head["idx"].dtype.names:
            head["idx"][member] = value
    stored = h5py.check_vlen_dtype(record.dtype["data"])
    record["data"] = samples.ravel().view(np.float32).astype(stored)
    if "traj" in record.dtype.names:
        record["traj"] = np.zeros(0, np.float32)


@pytest.fixture
def random_samples() -> Callable[..., NDArray[np.complex64]]:
    """Complex normal numbers of a shape, the same in every run."""
    rng = np.random.default_rng(3)

    def draw(*shape: int) -> NDArray[np.complex64]:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)

    return draw
