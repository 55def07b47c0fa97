"""A server told to stop: open sessions finish or are told, nothing is lost, and the exit code is 0."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread, Timer

import numpy as np
import pytest

from knerve.server.desk import Desk
from knerve.server.errors import StoppedError
from knerve.server.framing import Frame
from knerve.server.job import Job
from knerve.server.journal import FIRST_LINE, JournalReader
from knerve.server.listener import Listener
from knerve.server.messages import IMAGE_HEAD, Close, Image, Message, Text
from knerve.server.stopping import told_to_stop, wind_down
from knerve.server.wire import encode, read_messages

KNERVE = (sys.executable, "-P", "-c", "from knerve.cli import main; main()")
IMAGE = encode(Image(np.zeros(1, IMAGE_HEAD)[0], "", np.zeros((1, 1, 4, 4), np.float32)))


class Slow:
    """Workers that take their time, and stop when they are closed."""

    def __init__(self, job_s: float = 0.0) -> None:
        self._job_s, self._is_closed = job_s, Event()

    def run(self, _: Job) -> Iterator[Frame]:
        """Do a job."""
        if self._is_closed.wait(self._job_s):
            raise StoppedError("The server is being stopped while it reconstructs.")
        yield IMAGE

    def close(self) -> None:
        """Do no more."""
        self._is_closed.set()


@contextmanager
def _listening(desk: Desk, workers: Slow) -> Iterator[Listener]:
    with closing(Listener(replace(desk, reconstruct=workers.run), port=0)) as listener:
        Thread(target=listener.serve, daemon=True).start()
        yield listener


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    assert holds()


@contextmanager
def _client(port: int, spool: Path, messages: list[Message]) -> Iterator[socket.socket]:
    """A client whose messages are all in the journal."""
    raw = [encode(message).raw for message in messages]
    expected = len(FIRST_LINE) + sum(8 + len(part) for part in raw)
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"".join(raw))
        _until(lambda: [path.stat().st_size for path in spool.glob("2*/stream.journal")] == [expected])
        yield client


def _answer(client: socket.socket) -> list[Message]:
    with client, client.makefile("rb") as answers:
        return list(read_messages(answers))


def _words(answer: list[Message]) -> str:
    return " ".join(message.text for message in answer if isinstance(message, Text))


def test_an_open_session_finishes_and_nobody_else_comes(desk: Desk, scan: list[Message]) -> None:
    workers, left, answers = Slow(), [], []
    with _listening(desk, workers) as listener, _client(listener.port, desk.spool.path, scan[:30]) as client:
        listener.close()
        winding = Thread(target=lambda: left.append(wind_down(listener, workers, 20.0)))
        winding.start()
        with pytest.raises(OSError, match=r"refused|reset"):
            socket.create_connection(("127.0.0.1", listener.port), 1)
        client.sendall(b"".join(encode(message).raw for message in scan[30:]))
        answers = _answer(client)
        winding.join(10)
    assert left == [0]
    assert [type(message) for message in answers] == [Image, Close]
    assert desk.spool.unfinished() == []


@pytest.mark.parametrize("drain_s", [0.0, 0.2])
def test_who_is_not_done_in_time_is_told_and_kept(desk: Desk, scan: list[Message], drain_s: float) -> None:
    workers = Slow()
    with _listening(desk, workers) as listener, _client(listener.port, desk.spool.path, scan[:30]) as client:
        listener.close()
        assert wind_down(listener, workers, drain_s) == 1
        answer = _answer(client)
    assert "The server is being stopped. What came is kept" in _words(answer)
    assert answer[-1] == Close()
    (folder,) = desk.spool.unfinished()
    assert list(JournalReader(folder.journal)) == [encode(message) for message in scan[:30]]


def test_a_reconstruction_that_is_not_done_is_done_at_the_next_start(desk: Desk, scan: list[Message]) -> None:
    workers = Slow(job_s=60)
    with _listening(desk, workers) as listener, _client(listener.port, desk.spool.path, scan) as client:
        listener.close()
        assert wind_down(listener, workers, 0.1) == 1
        answer = _answer(client)
    assert "being stopped while it reconstructs" in _words(answer)
    assert answer[-1] == Close()
    (folder,) = desk.spool.unfinished()
    assert folder.read().state == "reconstructing"


def test_signals_begin_to_stop_and_a_second_one_hurries(desk: Desk, scan: list[Message]) -> None:
    workers, before = Slow(), signal.getsignal(signal.SIGTERM)
    with (
        closing(Listener(replace(desk, reconstruct=workers.run), port=0)) as listener,
        told_to_stop(listener.close) as stopping,
    ):
        started = time.monotonic()
        clients = []

        def come_and_stop() -> None:
            with _client(listener.port, desk.spool.path, scan[:30]) as client:
                os.kill(os.getpid(), signal.SIGTERM)
                _until(lambda: stopping.signal is not None)
                Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
                clients.append(_answer(client))

        visitor = Thread(target=come_and_stop)
        visitor.start()
        listener.serve()
        assert stopping.is_patient
        assert wind_down(listener, workers, 60.0) == 1
        visitor.join(10)
    assert time.monotonic() - started < 10
    assert clients[0][-1] == Close()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_command_tells_its_state_and_drains(tmp_path: Path, scan: list[Message]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        status_port = free.getsockname()[1]
    options = ("--port", "0", "--status-port", str(status_port), "--json-logs", "--spool", str(tmp_path / "spool"))
    with subprocess.Popen((*KNERVE, "serve", *options), stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            port = int(re.search(r"Listening on 127.0.0.1:(\d+)", server.stderr.readline())[1])
            with _client(port, tmp_path / "spool", scan[:30]) as client:
                assert _status(status_port, "readyz") == "ready\n"
                assert "knerve_sessions_open 1\n" in _status(status_port, "metrics")
                server.send_signal(signal.SIGTERM)
                client.sendall(b"".join(encode(message).raw for message in scan[30:]))
                with client.makefile("rb") as answers:
                    answer = list(read_messages(answers))
            said = [json.loads(line) for line in server.stderr]
            assert server.wait(20) == 0
        finally:
            server.kill()
    assert sum(isinstance(message, Image) for message in answer) == 2
    (ended,) = [line for line in said if line["event"] == "session ended"]
    assert ended["measurement"] == "demo_0"
    assert (ended["state"], ended["readouts"], ended["images"]) == ("done", len(scan) - 3, 2)


def _status(port: int, question: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{question}", timeout=10) as answer:
        return answer.read().decode()
