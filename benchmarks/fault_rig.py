"""What the fault scripts share: tiny scans as bytes, clients, and a `knerve serve` in a process of its own (Linux)."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from knerve.datasets.demo_scan import write_demo_scan
from knerve.recon.errors import KnerveError
from knerve.server.framing import Frame
from knerve.server.job import Job
from knerve.server.messages import READOUT_HEAD, Acquisition, Close, ConfigFile, Header, Image, Text
from knerve.server.spool import SessionFolder
from knerve.server.wire import encode, read_messages
from knerve.server.worker import done

T = TypeVar("T")

KNERVE = (sys.executable, "-P", "-c", "from knerve.cli import main; main()")
STARTING_S, LONGEST_S = 120.0, 120.0
LOOK_S = 0.02


@dataclass(frozen=True)
class Finding:
    """What came out of one kind of fault.

    Attributes:
        fault: in a few words.
        figures: what was counted and measured.
        holds: whether it is as it must be.
    """

    fault: str
    figures: dict[str, object]
    holds: bool


@dataclass
class Answer:
    """What a client got.

    Attributes:
        texts: words.
        images: pixels (y, x), in the order of their numbers; slices come as they are finished.
        is_closed: whether CLOSE was the last word.
        wait_s: from the last byte sent to the last image; NaN where there was none.
        sent: for each message the moment at which the system had taken it, monotonic clock.
    """

    texts: list[str] = field(default_factory=list)
    images: list[NDArray[np.float32]] = field(default_factory=list)
    is_closed: bool = False
    wait_s: float = float("nan")
    sent: list[float] = field(default_factory=list)


def tiny_scan(raw: Path, config: str = "cs", *, seed: int = 0, n_slices: int = 2) -> list[bytes]:
    """A scan of a simple knee, 64 x 48, six coils: config, header, readouts, CLOSE; the raw file is written too."""
    write_demo_scan(raw, n_slices=n_slices, matrix=(64, 48), n_coils=6, n_calibration=16, acceleration=2.0, seed=seed)
    with h5py.File(raw) as file:
        xml, records = file["dataset/xml"][0], file["dataset/data"][()]
    messages = [encode(ConfigFile(config)).raw, encode(Header(xml)).raw]
    for record in records:
        head = record["head"].astype(READOUT_HEAD)
        shape = int(head["active_channels"]), int(head["number_of_samples"])
        samples = record["data"].view(np.complex64).reshape(shape)
        messages.append(encode(Acquisition(head, np.zeros((shape[1], 0), np.float32), samples)).raw)
    return [*messages, encode(Close()).raw]


def play(port: int, messages: Sequence[bytes], pause_s: float = 0.0) -> Answer:
    """Send messages, and receive up to CLOSE or to the end."""
    answer = Answer()
    try:
        with (
            socket.create_connection(("127.0.0.1", port), LONGEST_S) as client,
            client.makefile("rb") as stream,
        ):
            sender = Thread(target=_send, args=(client, messages, pause_s, answer.sent))
            sender.start()
            last_image, numbered = float("nan"), []
            for message in read_messages(stream):
                if isinstance(message, Image):
                    numbered.append((int(message.head["image_index"]), message.pixels[0, 0].astype(np.float32)))
                    last_image = time.monotonic()
                elif isinstance(message, Text):
                    answer.texts.append(message.text)
                answer.is_closed = isinstance(message, Close)
            sender.join()
            answer.images = [pixels for _, pixels in sorted(numbered, key=lambda one: one[0])]
            answer.wait_s = last_image - answer.sent[-1] if answer.sent else float("nan")
    except (KnerveError, OSError):
        answer.is_closed = False
    return answer


def _send(client: socket.socket, messages: Sequence[bytes], pause_s: float, sent: list[float]) -> None:
    try:
        for message in messages:
            client.sendall(message)
            sent.append(time.monotonic())
            time.sleep(pause_s)
    except OSError:
        pass  # the server has had enough, or is dead


def in_this_process(job: Job) -> Iterator[Frame]:
    """The job of a worker, done here."""
    for message in done(job):
        if not isinstance(message, Close):
            yield encode(message)


def largest_difference(some: Sequence[NDArray[np.float32]], others: Sequence[NDArray[np.float32]]) -> float:
    """Of two series of images, over the largest value; infinite where they differ in number or shape."""
    if len(some) != len(others) or any(a.shape != b.shape for a, b in zip(some, others, strict=True)):
        return float("inf")
    top = max((float(np.abs(image).max()) for image in others), default=1.0)
    return max((float(np.abs(a - b).max()) for a, b in zip(some, others, strict=True)), default=0.0) / top


@dataclass(frozen=True)
class Server:
    """A running `knerve serve`."""

    process: subprocess.Popen[bytes]
    port: int
    spool: Path

    def workers(self) -> list[int]:
        """Its processes that reconstruct."""
        return children(self.process.pid)

    def n_descriptors(self) -> int:
        """Open files and sockets."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def n_threads(self) -> int:
        """Threads of the server itself."""
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def resident_mib(self) -> float:
        """Memory of the server itself."""
        return resident_mib(self.process.pid)


@contextmanager
def serving(spool: Path, *options: str) -> Iterator[Server]:
    """A server for as long as the context lasts; it is killed at the end."""
    log = spool.with_name(f"{spool.name}.log")
    with (
        log.open("wb") as words,
        subprocess.Popen((*KNERVE, "serve", "--port", "0", "--spool", str(spool), *options), stderr=words) as process,
    ):
        try:
            port = until(lambda: re.search(rb"Listening on 127.0.0.1:(\d+)", log.read_bytes()), STARTING_S)
            yield Server(process, int(port[1]), spool)
        finally:
            process.kill()


def until(look: Callable[[], T | None], longest_s: float = LONGEST_S) -> T:
    """What `look` finds as soon as it finds something."""
    end = time.monotonic() + longest_s
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"Nothing happened for {longest_s:g} s.")
        time.sleep(LOOK_S)
    return found


def children(process: int) -> list[int]:
    """Processes that a process started."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return sorted(found)


def resident_mib(process: int | str = "self") -> float:
    """Memory that a process holds."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def sessions(spool: Path) -> list[SessionFolder]:
    """The sessions of a spool that another process holds."""
    return [SessionFolder(path) for path in sorted(spool.glob("2*T*-*"))]


def slope_per_hundred(values: Sequence[float], step: int) -> float:
    """By how much values grow in a hundred steps; they were taken every `step`."""
    if len(values) < 2:
        return 0.0
    slope, _ = np.polyfit(np.arange(len(values)) * step, np.asarray(values, float), 1)
    return float(100 * slope)
