"""Sessions are counted as they go, by how they ended, and one line tells each."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from threading import Thread

import numpy as np
import pytest

from knerve.server.desk import Desk
from knerve.server.errors import SpoolError, WorkerError
from knerve.server.framing import Frame
from knerve.server.job import Job
from knerve.server.listener import Listener
from knerve.server.log_lines import JsonLines, log_to_stderr
from knerve.server.messages import IMAGE_HEAD, Image, Message
from knerve.server.metrics import exposition
from knerve.server.tally import Tally
from knerve.server.wire import encode, read_messages

IMAGE = encode(Image(np.zeros(1, IMAGE_HEAD)[0], "", np.zeros((1, 1, 4, 4), np.float32)))


def two_images(_: Job) -> Iterator[Frame]:
    return iter((IMAGE, IMAGE))


class Lines(logging.Handler):
    """What was logged, as a program reads it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonLines())
        self.lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    handler, logger = Lines(), logging.getLogger("knerve.server")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def _visits(desk: Desk, *conversations: list[Message], most_clients: int = 4) -> Tally:
    """Serve one client after the other; each hangs up when it has sent all."""
    tally = Tally()
    with closing(Listener(desk, port=0, most_clients=most_clients, tally=tally)) as listener:
        Thread(target=listener.serve, daemon=True).start()
        for messages in conversations:
            with socket.create_connection(("127.0.0.1", listener.port), 10) as client, client.makefile("rb") as answers:
                client.sendall(b"".join(encode(message).raw for message in messages))
                client.shutdown(socket.SHUT_WR)
                list(read_messages(answers))
        assert listener.wait(10) == 0
    return tally


def test_sessions_are_counted_by_their_end(desk: Desk, scan: list[Message]) -> None:
    own = replace(desk, reconstruct=two_images)
    tally = _visits(own, scan, scan[:-1], [*scan[:5], scan[0]], [])
    told = exposition(tally.metrics())
    assert 'knerve_sessions_finished_total{state="done"} 1\n' in told
    assert 'knerve_sessions_finished_total{state="incomplete"} 1\n' in told
    assert 'knerve_sessions_finished_total{state="failed"} 1\n' in told
    assert "knerve_scans_incomplete_total 1\n" in told
    assert "knerve_scans_lost_total 0\n" in told
    assert f"knerve_readouts_total {2 * (len(scan) - 3) + 3}\n" in told
    assert "knerve_sessions_open 0\n" in told
    assert "knerve_clients 0\n" in told


def test_the_wait_is_that_of_the_last_image(desk: Desk, scan: list[Message]) -> None:
    tally = _visits(replace(desk, reconstruct=two_images), scan)
    told = exposition(tally.metrics())
    assert "knerve_images_sent_total 2\n" in told
    assert "knerve_last_readout_to_image_seconds_count 1\n" in told
    assert 'knerve_last_readout_to_image_seconds_bucket{le="2"} 1\n' in told


def test_an_unfinished_session_is_counted(desk: Desk, scan: list[Message]) -> None:
    def die(_: Job) -> Iterator[Frame]:
        raise WorkerError("ended by signal SIGSEGV")

    told = exposition(_visits(replace(desk, reconstruct=die), scan).metrics())
    assert 'knerve_sessions_finished_total{state="unfinished"} 1\n' in told
    assert "knerve_last_readout_to_image_seconds_count 0\n" in told


def test_a_full_disk_makes_a_lost_scan(desk: Desk, scan: list[Message], monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    n_written = 0

    def fill(file: int, content: memoryview) -> int:
        nonlocal n_written
        n_written += 1
        if n_written > 20:
            raise OSError(28, "No space left on device")
        return write(file, content)

    monkeypatch.setattr("knerve.server.journal.os.write", fill)
    tally = _visits(desk, scan)
    assert tally.lost.value() == 1


def test_refusals_are_counted(desk: Desk, scan: list[Message]) -> None:
    desk.spool.refusal = lambda: "The disk is full."
    tally = _visits(desk, scan)
    assert tally.turned_away.value("spool") == 1
    assert desk.spool.sessions() == []
    with pytest.raises(SpoolError, match="The disk is full"):
        desk.spool.new_session()


def test_one_json_line_tells_a_session(desk: Desk, scan: list[Message], lines: list[dict[str, object]]) -> None:
    _visits(replace(desk, reconstruct=two_images), scan)
    (line,) = [line for line in lines if line["event"] == "session ended"]
    (folder,) = desk.spool.sessions()
    assert line["session"] == folder.name
    assert line["measurement"] == "demo_0"
    assert line["state"] == "done"
    assert line["readouts"] == len(scan) - 3
    assert line["images"] == 2
    assert 0 <= line["seconds_from_last_readout_to_image"] < 5
    assert line["level"] == "info"
    assert str(line["time"]).endswith("Z")
    record = folder.read()
    assert record.n_images == 2
    assert record.ended >= record.started
    others = [line for line in lines if line["event"] != "session ended"]
    assert all(line["session"] == folder.name for line in others)


def test_a_traceback_stays_on_one_line() -> None:
    formatter = JsonLines()
    try:
        raise ZeroDivisionError("two\nlines")
    except ZeroDivisionError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("knerve", logging.ERROR, "file", 1, "words\nof %s", ("a client",), info)
    line = formatter.format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert told["message"] == "words\nof a client"
    assert "ZeroDivisionError: two\nlines" in told["traceback"]
    assert told["session"] == ""


def test_a_defect_in_a_thread_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    root, hook = logging.getLogger(), threading.excepthook
    level, handlers = root.level, root.handlers[:]
    root.handlers.clear()
    try:
        log_to_stderr(as_json=True)
        thread = Thread(target=lambda: [][0], name="client 10.0.0.7")
        thread.start()
        thread.join()
    finally:
        threading.excepthook = hook
        root.handlers[:] = handlers
        root.setLevel(level)
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["thread"]) == ("defect", "error", "client 10.0.0.7")
    assert "IndexError" in told["traceback"]
