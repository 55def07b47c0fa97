"""Walk a Siemens TWIX file (`.dat`): its measurements, their protocol, and one record for every readout.

A VD/VE file starts with a table of measurements (adjustments first, the imaging scan last); a VB file is one measurement. Each
has a protocol and then blocks, one a readout, until a block flagged ACQEND. The structures and the protocol's parser are
twixtools'; walking is done here, where every length is checked against the file before it is believed.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from knerve.recon.errors import RawDataError

TABLE_BYTES, ENTRY_BYTES, MAX_MEASUREMENTS = 8, 152, 64
VB_HEADER_BYTES, VE_HEADER_BYTES, VE_CHANNEL_BYTES = 128, 192, 32
MAX_CHANNELS = 1024
MAX_PROTOCOL_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class Measurement:
    """One measurement of a file.

    Attributes:
        name: protocol name, as the table of measurements gives it.
        protocol: sections of the protocol ("MeasYaps", "Dicom", ...), each names to values.
        heads: (readout,) the measurement data headers, with the fields of twixtools' structures.
        samples: one array (coil, sample) complex64 a readout, read from the file when touched.
    """

    name: str
    protocol: dict[str, Any]
    heads: list[np.void]
    samples: list[NDArray[np.complex64]]


def looks_like_twix(path: Path) -> bool:
    """Tell a TWIX file by its first bytes: a table of measurements, or a protocol's named buffer."""
    with path.open("rb") as file:
        start = file.read(TABLE_BYTES + 64)
    if len(start) < TABLE_BYTES + 24:
        return False
    first, second = struct.unpack_from("<II", start)
    if _is_ve(first, second):
        offset = int(struct.unpack_from("<Q", start, TABLE_BYTES + 8)[0])
        return TABLE_BYTES + second * ENTRY_BYTES <= offset < 1 << 20
    return 0 < second <= 64 and re.match(rb"[A-Za-z]\w{3,}\x00", start[TABLE_BYTES:]) is not None


def read_measurements(path: Path) -> list[Measurement]:
    """Read all measurements of a file, in their order.

    Raises:
        RawDataError: twixtools is not installed, or the file is truncated or damaged.
    """
    twixtools = require_twixtools()
    size = path.stat().st_size
    everything = np.memmap(path, np.uint8, mode="r")
    with path.open("rb") as file:
        first, second = struct.unpack("<II", file.read(TABLE_BYTES))
        if not _is_ve(first, second):
            return [_read_one(twixtools, path, file, everything, "", 0, size, is_ve=False)]
        table = file.read(second * ENTRY_BYTES)
        if len(table) < second * ENTRY_BYTES:
            raise RawDataError(f"{path} is truncated: it ends inside its table of measurements. Copy the file again.")
        found = []
        for k in range(second):
            offset, length = struct.unpack_from("<QQ", table, k * ENTRY_BYTES + 8)
            name = table[k * ENTRY_BYTES + 88 : (k + 1) * ENTRY_BYTES].split(b"\0")[0].decode("latin-1")
            length = length or size - offset
            if offset + length > size or offset + TABLE_BYTES > size:
                raise RawDataError(
                    f"{path} is truncated: measurement {k + 1} ({name}) ends at byte {offset + length}, the file at {size}. "
                    "Copy the file again, whole."
                )
            found.append(_read_one(twixtools, path, file, everything, name, offset, offset + length, is_ve=True))
    return found


def require_twixtools() -> ModuleType:
    """Import twixtools, the one optional package that this format needs.

    Raises:
        RawDataError: it is not installed.
    """
    try:
        import twixtools.mdh_def
        import twixtools.twixprot
    except ImportError as error:
        raise RawDataError(
            f"Siemens .dat files need the package twixtools ({error}). Install it with: pip install twixtools"
        ) from error
    module: ModuleType = twixtools
    return module


def _is_ve(first: int, second: int) -> bool:
    return first < 10_000 and 0 < second <= MAX_MEASUREMENTS


def _read_one(
    twixtools: ModuleType,
    path: Path,
    file: BinaryIO,
    everything: NDArray[np.uint8],
    name: str,
    start: int,
    end: int,
    *,
    is_ve: bool,
) -> Measurement:
    file.seek(start)
    header_bytes = struct.unpack("<I", file.read(4))[0]
    if not TABLE_BYTES < header_bytes < min(MAX_PROTOCOL_BYTES, end - start):
        raise RawDataError(
            f"{path} is truncated or damaged: its protocol should take {header_bytes} of the {end - start} bytes there are."
        )
    protocol = _read_protocol(twixtools, path, file, start)
    head_type = np.dtype(twixtools.mdh_def.Scan_header if is_ve else twixtools.mdh_def.VB17_header)
    flags = twixtools.mdh_def.mask_dict
    heads: list[np.void] = []
    samples: list[NDArray[np.complex64]] = []
    position = start + header_bytes
    while True:
        if position + head_type.itemsize > end:
            raise _unfinished(path, len(heads), name)
        head = everything[position : position + head_type.itemsize].view(head_type)[0]
        mask = int(head["EvalInfoMask"])
        if mask >> flags["ACQEND"] & 1:
            return Measurement(name, protocol, heads, samples)
        if mask >> flags["SYNCDATA"] & 1:
            length = int(head["FlagsAndDMALength"]) % 2**25
        else:
            n_coils, n_samples = int(head["UsedChannels"]), int(head["SamplesInScan"])
            length = _readout_bytes(n_coils, n_samples, is_ve=is_ve)
            if n_samples and 0 < n_coils <= MAX_CHANNELS and position + length <= end:
                heads.append(head)
                samples.append(_samples_at(everything, position, n_coils, n_samples, is_ve=is_ve))
            else:
                raise _unfinished(path, len(heads), name)
        if length < head_type.itemsize:
            raise _unfinished(path, len(heads), name)
        position += length


def _read_protocol(twixtools: ModuleType, path: Path, file: BinaryIO, start: int) -> dict[str, Any]:
    file.seek(start)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its parser prints warnings, and stdout may be a JSON document
            protocol: dict[str, Any] = twixtools.twixprot.parse_twix_hdr(file)
    except (ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise RawDataError(
            f"{path}: the protocol in its header cannot be read ({error}). The file is damaged, or not Siemens raw data."
        ) from error
    return protocol


def _readout_bytes(n_coils: int, n_samples: int, *, is_ve: bool) -> int:
    if is_ve:
        return VE_HEADER_BYTES + n_coils * (VE_CHANNEL_BYTES + 8 * n_samples)
    return n_coils * (VB_HEADER_BYTES + 8 * n_samples)


def _samples_at(
    everything: NDArray[np.uint8], position: int, n_coils: int, n_samples: int, *, is_ve: bool
) -> NDArray[np.complex64]:
    """View of the readout at `position`, (coil, sample); a header stands before every coil's samples."""
    before = VE_CHANNEL_BYTES if is_ve else VB_HEADER_BYTES
    first = position + (VE_HEADER_BYTES if is_ve else 0) + before
    return np.ndarray((n_coils, n_samples), "<c8", everything.data, first, (before + 8 * n_samples, 8))


def _unfinished(path: Path, n_readouts: int, name: str) -> RawDataError:
    where = f" of measurement {name}" if name else ""
    return RawDataError(
        f"{path} is truncated or damaged: after {n_readouts} readouts{where} comes neither another one nor the end mark. "
        "Copy the file again; a scan that was stopped by hand still has the mark."
    )
