"""A tiny scan as messages, a desk that reconstructs in this process, a client for it, and servers to be hurt."""

from __future__ import annotations

import importlib
import io
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from knerve.datasets.demo_scan import write_demo_scan
from knerve.server.desk import Desk, Patience, Reconstruct
from knerve.server.framing import Frame
from knerve.server.job import Job
from knerve.server.listener import serve_client
from knerve.server.messages import (
    IMAGE_HEAD,
    READOUT_HEAD,
    Acquisition,
    Close,
    ConfigFile,
    Header,
    Image,
    Message,
    Text,
)
from knerve.server.spool import Spool
from knerve.server.wire import encode, read_messages
from knerve.server.worker import done

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
QUICK = Patience(handshake_s=5.0, silence_s=5.0, message_s=5.0, sending_s=5.0, farewell_s=0.5)
Ask = Callable[..., list[Message]]
MakeImage = Callable[..., Frame]


@pytest.fixture(scope="session")
def raw_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "knee.h5"
    write_demo_scan(path, n_slices=2, matrix=(32, 24), n_coils=4, n_calibration=12, acceleration=1.5)
    return path


@pytest.fixture(scope="session")
def scan(raw_file: Path) -> list[Message]:
    """The whole conversation of a client: config, header, readouts, CLOSE."""
    with h5py.File(raw_file) as file:
        xml, records = file["dataset/xml"][0], file["dataset/data"][()]
    readouts = []
    for record in records:
        head = record["head"].astype(READOUT_HEAD)
        shape = int(head["active_channels"]), int(head["number_of_samples"])
        samples = record["data"].view(np.complex64).reshape(shape)
        readouts.append(Acquisition(head, np.zeros((shape[1], 0), np.float32), samples))
    return [ConfigFile("zero-filled"), Header(xml), *readouts, Close()]


_ONE_AT_A_TIME = Lock()


def in_this_process(job: Job) -> Iterator[Frame]:
    """The job of a worker, as frames, without its CLOSE; one after the other, as in one worker."""
    with _ONE_AT_A_TIME:
        answer = list(done(job))
    return iter([encode(message) for message in answer if not isinstance(message, Close)])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(Spool(tmp_path / "spool")) as spool:
        yield Desk(spool, in_this_process, QUICK)


@pytest.fixture
def ask(desk: Desk) -> Ask:
    """Send messages or bytes, hang up our direction, and return all that is answered; the last must be CLOSE."""

    def send(
        *messages: Message | bytes, reconstruct: Reconstruct = in_this_process, **patience: float
    ) -> list[Message]:
        asked = b"".join(m if isinstance(m, bytes) else encode(m).raw for m in messages)
        ours, theirs = socket.socketpair()
        own = replace(desk, reconstruct=reconstruct, patience=replace(desk.patience, **patience))
        server = Thread(target=serve_client, args=(theirs, own))
        server.start()
        ours.settimeout(20.0)
        with ours:
            sender = Thread(target=_send, args=(ours, asked, not patience))
            sender.start()
            answer = _read_all(ours)
        sender.join()
        server.join()
        return whole_answer(answer)

    return send


def _send(connection: socket.socket, content: bytes, hang_up: bool) -> None:
    try:
        connection.sendall(content)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server has had enough


def _read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def whole_answer(answer: bytes) -> list[Message]:
    """The messages of an answer, which must end in CLOSE and nothing behind it."""
    stream = io.BytesIO(answer)
    messages = list(read_messages(stream))
    assert isinstance(messages[-1], Close), messages[-3:]
    assert stream.read() == b""
    return messages


@pytest.fixture(scope="session")
def words_of() -> Callable[[list[Message]], str]:
    """All that an answer says in words."""
    return lambda answer: "\n".join(message.text for message in answer if isinstance(message, Text))


@pytest.fixture(scope="session")
def record_of() -> Callable[[Desk], dict[str, object]]:
    """What is noted of the only session that is kept."""

    def read(desk: Desk) -> dict[str, object]:
        (folder,) = desk.spool.sessions()
        return json.loads((folder.path / "session.json").read_text(encoding="utf-8"))

    return read


@pytest.fixture
def make_image() -> MakeImage:
    """An IMAGE message of one slice: pixels (z, y, x), a pixel of 0.5 x 0.8 mm, slices 4 mm apart along a tilted normal."""
    tilt = np.deg2rad(20)
    normal = np.array([0, np.cos(tilt), np.sin(tilt)])

    def make(slice_number: int = 0, pixels: object = None, *, description: str = "", **head: object) -> Frame:
        values = np.ones((1, 12, 16), "<f4") if pixels is None else np.asarray(pixels)
        filled = np.zeros(1, IMAGE_HEAD)[0]
        filled["version"], filled["image_type"], filled["slice"] = 1, 1, slice_number
        filled["image_index"] = slice_number + 1
        filled["field_of_view"] = values.shape[2] * 0.5, values.shape[1] * 0.8, 3 * values.shape[0]
        filled["position"] = np.array([10.0, -20.0, 30.0]) + 4 * slice_number * normal
        filled["read_dir"], filled["slice_dir"] = (1, 0, 0), normal
        filled["phase_dir"] = 0, np.sin(tilt), -np.cos(tilt)
        for name, value in head.items():
            filled[name] = value
        metas = {"SeriesDescription": description, "WindowCenter": 50, "WindowWidth": 100}
        xml = "".join(f"<meta><name>{name}</name><value>{value}</value></meta>" for name, value in metas.items())
        return encode(Image(filled, f"<ismrmrdMeta>{xml}</ismrmrdMeta>", values[None]))

    return make


@pytest.fixture(scope="module")
def benchmark_module() -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of `benchmarks` by name; what stands beside it can be imported too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module


@pytest.fixture(scope="module")
def rig(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    """The rig of `benchmarks/server_faults.py`."""
    return benchmark_module("fault_rig")


@pytest.fixture(scope="module")
def fault_server(rig: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server in processes of its own, one for all of a file: they take seconds to start."""
    with rig.serving(tmp_path_factory.mktemp("server") / "spool") as server:
        yield server
