"""A journal becomes a standard ISMRMRD file.

Packed samples are written unpacked. Trajectories and waveforms stay in the journal: Cartesian readouts need none, and the
writer of `knerve.datasets` has no place for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from knerve.datasets.mrd_stream import MrdStream, mrd_stream
from knerve.datasets.mrd_writer import Readouts
from knerve.recon.errors import RawDataError
from knerve.server.errors import MalformedMessageError
from knerve.server.framing import PACKED_FLAG, Frame
from knerve.server.journal import JournalReader
from knerve.server.messages import Acquisition, MessageId
from knerve.server.wire import decode

READOUTS_AT_ONCE = 64
BYTES_AT_ONCE = 32 << 20


@dataclass(frozen=True)
class Journalled:
    """What a journal holds.

    Attributes:
        n_readouts: readouts that are whole.
        is_closed: whether the client said that this was all.
        damage: why the journal could not be read to its end, or nothing.
        n_broken: further readouts that contradict themselves and were left out.
    """

    n_readouts: int
    is_closed: bool
    damage: str
    n_broken: int = 0


def write_raw_file(journal: Path, raw: Path) -> Journalled:
    """Write the readouts of a journal, in their order, as an ISMRMRD file; none where there are no readouts.

    Raises:
        RawDataError: readouts without a header.
        SpoolError: the journal cannot be read.
        OutputError: the file cannot be written.
    """
    reader = JournalReader(journal)
    header, n_readouts, n_bytes, n_broken, is_closed = b"", 0, 0, 0, False
    for frame in reader:
        if frame.kind == MessageId.ACQUISITION:
            readout = _readout(frame)
            n_broken += readout is None
            n_readouts += readout is not None
            n_bytes += 0 if readout is None else readout.samples.nbytes
        elif frame.kind == MessageId.HEADER:
            header = frame.content[4:].split(b"\0", 1)[0]
        is_closed |= frame.kind == MessageId.CLOSE
    if n_readouts:
        if not header:
            raise RawDataError(f"{journal.name} holds {n_readouts} readouts but no header; they cannot be placed.")
        with mrd_stream(raw, _as_text(header), n_readouts, -(-n_bytes // n_readouts)) as stream:
            _write_readouts(JournalReader(journal), stream)
    return Journalled(n_readouts, is_closed, reader.damage, n_broken)


def _readout(frame: Frame) -> Acquisition | None:
    """The readout of a frame; None where the frame is something else, or contradicts itself (which ended its session)."""
    if frame.kind != MessageId.ACQUISITION:
        return None
    try:
        message = decode(frame)
    except MalformedMessageError:
        return None
    assert isinstance(message, Acquisition)
    return message


def _as_text(header: bytes) -> str:
    try:
        return header.decode("utf-8-sig")
    except UnicodeDecodeError:
        return header.decode("latin-1")


def _write_readouts(journal: JournalReader, stream: MrdStream) -> None:
    row = 0
    for block in _blocks(journal):
        heads = np.array([readout.head for readout in block])
        heads["trajectory_dimensions"] = 0
        heads["flags"] &= ~np.uint64(1 << (PACKED_FLAG - 1))
        samples = np.stack([readout.samples for readout in block])
        stream.write(np.arange(row, row + len(block)), Readouts(samples, heads))
        row += len(block)


def _blocks(journal: JournalReader) -> Iterator[list[Acquisition]]:
    """Readouts of one shape that follow each other, a few at a time."""
    block: list[Acquisition] = []
    n_bytes = 0
    for frame in journal:
        readout = _readout(frame)
        if readout is None:
            continue
        is_other = bool(block) and readout.samples.shape != block[0].samples.shape
        if is_other or len(block) >= READOUTS_AT_ONCE or n_bytes > BYTES_AT_ONCE:
            yield block
            block, n_bytes = [], 0
        block.append(readout)
        n_bytes += readout.samples.nbytes
    if block:
        yield block
