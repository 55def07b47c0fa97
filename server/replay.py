"""A raw file played to a server as a scanner would: config, header, readouts by their time stamps, CLOSE; images come back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import IO

import h5py
import numpy as np

from knerve.datasets.mrd_hdf5 import open_group
from knerve.recon.errors import KnerveError
from knerve.server.errors import ReplayError
from knerve.server.messages import READOUT_HEAD, Acquisition, Close, ConfigFile, Header, Image, Message, Text
from knerve.server.wire import encode, read_messages

SECONDS_PER_STAMP = 2.5e-3  # ticks of the usual scanner clock
READOUTS_AT_ONCE = 64
CONNECTING_S = 10.0
LONGEST_ANSWER_S = 900.0


@dataclass
class Replayed:
    """What came back.

    Attributes:
        n_readouts: sent.
        seconds_sending: from the first readout to CLOSE.
        seconds_to_images: from CLOSE sent to each image received; negative where an image came before.
        seconds_to_close: from CLOSE sent to the server's CLOSE.
        texts: the server's words.
        images: the images.
        is_closed: whether the server said that this was all.
        notes: what the user should know.
    """

    n_readouts: int = 0
    seconds_sending: float = 0.0
    seconds_to_images: list[float] = field(default_factory=list)
    seconds_to_close: float = 0.0
    texts: list[str] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    is_closed: bool = False
    notes: tuple[str, ...] = ()


def replay(
    raw: Path, host: str, port: int, *, real_time: bool = False, config: str = "default", group: str | None = None
) -> Replayed:
    """Play a raw file to a server and receive what it answers.

    Args:
        raw: an ISMRMRD file.
        host: of the server.
        port: of the server.
        real_time: send each readout at its time stamp; without it, as fast as the server takes them.
        config: what the server is asked to do.
        group: HDF5 group of the raw data.

    Raises:
        RawDataError: the file cannot be read.
        ReplayError: the server cannot be reached, or answered what is no MRD.
    """
    with open_group(raw, group) as opened:
        name, xml, heads = opened.name, opened.header_xml, opened.heads
    stamps = heads["acquisition_time_stamp"]
    replayed = Replayed(n_readouts=len(heads))
    if real_time and stamps.max() == stamps.min():
        replayed.notes = ("All readouts bear the same time stamp; they were sent at once.",)
    due = (stamps - stamps[0]) * SECONDS_PER_STAMP if real_time else np.zeros(len(stamps))
    try:
        connection = socket.create_connection((host, port), CONNECTING_S)
    except OSError as error:
        raise ReplayError(f"No server answers at {host}:{port} ({error}). Start one with: knerve serve") from error
    with connection, connection.makefile("rb") as answers:
        connection.settimeout(LONGEST_ANSWER_S)
        listener = _Listener(answers)
        listener.start()
        started = time.perf_counter()
        try:
            _send(connection, ConfigFile(config), Header(xml.encode() if isinstance(xml, str) else xml))
            for readout, seconds in zip(readouts_of(raw, name), due, strict=True):
                time.sleep(max(0.0, started + seconds - time.perf_counter()))
                _send(connection, readout)
            _send(connection, Close())
        except OSError:  # the server has hung up; its words say why
            replayed.notes = (*replayed.notes, "The server hung up before all readouts were sent.")
        closed = time.perf_counter()
        listener.join()
    replayed.seconds_sending = closed - started
    return listener.told(replayed, closed)


class _Listener(Thread):
    """What the server answers, taken while the readouts are still being sent."""

    def __init__(self, answers: IO[bytes]) -> None:
        super().__init__(name="answers", daemon=True)
        self._answers = answers
        self._received: list[tuple[float, Message]] = []
        self._failure: KnerveError | OSError | None = None

    def run(self) -> None:
        """Receive until CLOSE or the end."""
        try:
            for message in read_messages(self._answers):
                self._received.append((time.perf_counter(), message))
        except (KnerveError, OSError) as failure:
            self._failure = failure

    def told(self, replayed: Replayed, closed: float) -> Replayed:
        """Fill in what came."""
        for when, message in self._received:
            if isinstance(message, Image):
                replayed.images.append(message)
                replayed.seconds_to_images.append(when - closed)
            elif isinstance(message, Text):
                replayed.texts.append(message.text)
            elif isinstance(message, Close):
                replayed.is_closed = True
                replayed.seconds_to_close = when - closed
        if self._failure is not None:
            said = f" Its last words: {replayed.texts[-1]}" if replayed.texts else ""
            raise ReplayError(f"The server's answer broke off: {self._failure}.{said}")
        return replayed


def _send(connection: socket.socket, *messages: Message) -> None:
    connection.sendall(b"".join(encode(message).raw for message in messages))


def readouts_of(raw: Path, group: str) -> Iterator[Acquisition]:
    """The readouts of a file in its order, whole heads and trajectories included."""
    with h5py.File(raw, "r") as file:
        data = file[f"{group}/data"]
        edges = [*range(0, len(data), READOUTS_AT_ONCE), len(data)]
        for first, end in pairwise(edges):
            for record in data[first:end]:
                yield _readout(record)


def _readout(record: np.void) -> Acquisition:
    head = np.zeros(1, READOUT_HEAD)
    stored = record["head"]
    for member in READOUT_HEAD.names or ():
        if member in stored.dtype.names and member != "idx":
            head[member] = stored[member]
    for member in READOUT_HEAD["idx"].names or ():
        if member in stored["idx"].dtype.names:
            head["idx"][member] = stored["idx"][member]
    n_samples, n_coils = int(stored["number_of_samples"]), int(stored["active_channels"])
    samples = np.asarray(record["data"], np.float32).view(np.complex64).reshape(n_coils, n_samples)
    trajectory = np.asarray(record["traj"] if "traj" in (record.dtype.names or ()) else (), np.float32)
    return Acquisition(head[0], trajectory.reshape(n_samples, -1) if n_samples else trajectory.reshape(0, 0), samples)
