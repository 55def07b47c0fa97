"""Read a fastMRI file: k-space already on its grid, an ISMRMRD header as text, and in test files a sampling mask.

`kspace (slice, coil, row, column)` runs along the readout (twice oversampled) from row to row and along the phase encodes
from column to column. Columns of exact zeros were not acquired: padding around partial or asymmetric phase encoding, or lines
that a mask left out.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from knerve.datasets.mrd_header import MrdHeader, parse_header
from knerve.datasets.whole_grid import require_finite, sampled_columns, sampled_lines
from knerve.recon.errors import RawDataError, UnsupportedError
from knerve.recon.scan import Frame, Grid, RawScan, ScanHeader

OVERSAMPLING = 2  # along the readout, in every fastMRI file


def read_fastmri(path: Path) -> RawScan:
    """Read a fastMRI multi-coil file.

    The files carry no positions and no noise readouts; the notes tell what was assumed instead.

    Raises:
        RawDataError: not HDF5, truncated, no `kspace` of the right kind, a mask or header that contradicts it, NaN or Inf.
        UnsupportedError: an emulated single-coil file.
    """
    try:
        with h5py.File(path) as file:
            kspace = _kspace(file, path)
            mask = np.asarray(file["mask"]).ravel() if "mask" in file else None
            xml = file["ismrmrd_header"][()] if "ismrmrd_header" in file else None
    except OSError as error:
        raise RawDataError(
            f"{path} cannot be read as HDF5 ({error}). If it is a fastMRI file, it is truncated or damaged; copy it again."
        ) from error
    require_finite(kspace, path.name)
    kspace = _masked(kspace, mask, path)
    counts = sampled_lines(kspace, path.name)
    grid, header, header_notes = _grid(kspace, xml, path)
    return RawScan(
        kspace=kspace,
        counts=counts,
        frames=tuple(Frame(slice=s) for s in range(len(kspace))),
        grid=grid,
        sampled_kx=sampled_columns(kspace, counts, path.name),
        header=header,
        notes=(
            "fastMRI files carry no positions and no orientation: images cannot be placed in the patient.",
            "fastMRI files carry no noise readouts and no counters: lines that are exactly zero were taken as not sampled.",
            *header_notes,
        ),
    )


def _kspace(file: h5py.File, path: Path) -> Tensor:
    """k-space as (slice, coil, ky, kx)."""
    stored = file.get("kspace")
    if not isinstance(stored, h5py.Dataset) or stored.dtype.kind != "c":
        raise RawDataError(f"{path} is no fastMRI file: it has no complex data set 'kspace' at its root.")
    if stored.ndim == 3:
        raise UnsupportedError(
            f"{path} is an emulated single-coil file: kspace {stored.shape} is (slice, row, column). knerve reconstructs from "
            "several coils; take the multi-coil file of the same scan."
        )
    if stored.ndim != 4 or 0 in stored.shape:
        raise RawDataError(f"{path}: kspace has the shape {stored.shape}; (slice, coil, row, column) was expected.")
    values = torch.from_numpy(np.asarray(stored[...], np.complex64))
    return values.transpose(2, 3).contiguous()


def _masked(kspace: Tensor, mask: np.ndarray | None, path: Path) -> Tensor:
    """k-space with the lines that the mask leaves out set to zero."""
    if mask is None:
        return kspace
    if len(mask) != kspace.shape[2]:
        raise RawDataError(
            f"{path}: the mask has {len(mask)} entries, but kspace has {kspace.shape[2]} columns; they must be as many."
        )
    return kspace * torch.from_numpy(mask.astype(bool))[None, None, :, None]


def _grid(kspace: Tensor, xml: str | bytes | None, path: Path) -> tuple[Grid, ScanHeader, tuple[str, ...]]:
    """Matrix and field of view from the header, or assumed where it is missing or incomplete."""
    n_y, n_x = kspace.shape[2:]
    try:
        header = _header(xml)
    except RawDataError as error:
        fov = (float(n_x), float(n_y), 1.0)
        recon = (n_x // OVERSAMPLING, n_y, 1)
        assumed = Grid((n_x, n_y, 1), fov, recon, (float(recon[0]), float(n_y), 1.0))
        note = f"Pixels of 1 mm and a readout oversampling of {OVERSAMPLING} were assumed: {error}"
        return assumed, ScanHeader(), (note,)
    grid = header.encodings[0].grid
    notes = header.notes
    if grid.encoded_matrix[0] != n_x or grid.encoded_matrix[2] != 1:
        raise RawDataError(
            f"{path}: kspace has {n_x} rows, but the header encodes {grid.encoded_matrix[0]} x {grid.encoded_matrix[1]} x "
            f"{grid.encoded_matrix[2]}. The file was cropped or its header belongs to another one."
        )
    if grid.encoded_matrix[1] != n_y:
        notes = (
            *notes,
            f"kspace has {n_y} columns, the header encodes {grid.encoded_matrix[1]}: the header's field of view was kept.",
        )
        grid = Grid((n_x, n_y, 1), grid.encoded_fov_mm, grid.recon_matrix, grid.recon_fov_mm)
    return grid, header.scan_header, notes


def _header(xml: str | bytes | None) -> MrdHeader:
    if xml is None:
        raise RawDataError("the file has no ismrmrd_header.")
    return parse_header(xml)
