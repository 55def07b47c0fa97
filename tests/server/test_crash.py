"""A server killed in the middle: its journals give every message received, and the same images."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from knerve.datasets.mrd_file import read_mrd
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings
from knerve.server.errors import SpoolError, StoppedError, WorkerError
from knerve.server.image_file import image_messages
from knerve.server.journal import FIRST_LINE, JournalReader, JournalWriter
from knerve.server.messages import Message
from knerve.server.recovery import recover
from knerve.server.spool import SessionFolder, Spool
from knerve.server.wire import encode
from knerve.server.worker import done

SERVER = """
import sys
from pathlib import Path
from knerve.server.listener import Listener
from knerve.server.desk import Desk
from knerve.server.spool import Spool

listener = Listener(Desk(Spool(Path(sys.argv[1])), lambda job: iter(())), port=0)
print(listener.port, flush=True)
listener.serve()
"""
SENT = (3, 30, 40, 50)  # messages, of several clients of one server; the last lacks only its CLOSE


def _frames(job):
    return [encode(message) for message in done(job)][:-1]


def _received(path: Path) -> list[int]:
    return sorted(
        folder.journal.stat().st_size for folder in map(SessionFolder, path.glob("2*")) if folder.journal.exists()
    )


@pytest.fixture
def killed(tmp_path: Path, scan: list[Message]) -> Path:
    """The spool folder of a server that was killed while it received."""
    spool = tmp_path / "spool"
    server = subprocess.Popen((sys.executable, "-c", SERVER, str(spool)), stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        port = int(server.stdout.readline())
        frames = [encode(message).raw for message in scan]
        clients = [socket.create_connection(("127.0.0.1", port), 10) for _ in SENT]
        expected = []
        for client, n_messages in zip(clients, SENT, strict=True):
            client.sendall(
                b"".join(frames[:n_messages]) + frames[n_messages][: len(frames[n_messages]) // 2]
            )  # and a part of the next one
            expected.append(len(FIRST_LINE) + sum(8 + len(raw) for raw in frames[:n_messages]))
        until = time.monotonic() + 10
        while _received(spool) != sorted(expected) and time.monotonic() < until:
            time.sleep(0.01)
        server.send_signal(signal.SIGKILL)
        server.wait()
        for client in clients:
            client.close()
    assert _received(spool) == sorted(expected)
    return spool


def test_every_message_is_there_and_the_image_is_identical(killed: Path, scan: list[Message], raw_file: Path) -> None:
    frames = [encode(message) for message in scan]
    with closing(Spool(killed)) as spool:
        left = spool.unfinished()
        assert len(left) == len(SENT)
        assert len(scan) == 51
        by_length = sorted(left, key=lambda folder: folder.journal.stat().st_size)
        for folder, n_messages in zip(by_length, SENT, strict=True):
            assert list(JournalReader(folder.journal)) == frames[:n_messages]
        recover(left, _frames)
        assert spool.unfinished() == []
    records = [folder.read() for folder in by_length]
    assert [record.state for record in records] == ["failed", "done", "done", "done"]
    assert [record.n_readouts for record in records] == [1, 28, 38, 48]
    assert records[0].words.startswith("ERROR    None of the 1 readouts holds image data")
    expected = reconstruct(read_mrd(raw_file), Settings(method="zero-filled")).magnitude.numpy()
    images = list(image_messages(by_length[-1].images))
    np.testing.assert_array_equal(np.concatenate([image.pixels[0] for image in images]), expected)
    assert f"INCOMPLETE ({len(scan) - 3} readouts)" in images[0].attributes


def test_a_spool_has_one_server(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")), pytest.raises(SpoolError, match="Another server uses the spool folder"):
        Spool(tmp_path / "spool")
    Spool(tmp_path / "spool").close()
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be used"):
        Spool(tmp_path / "file")


def test_stopping_leaves_sessions_for_the_next_start(tmp_path: Path, scan: list[Message]) -> None:
    def stop(_):
        raise StoppedError("stopped")

    def die(_):
        raise WorkerError("died")

    with closing(Spool(tmp_path / "spool")) as spool:
        folder = spool.new_session()
        with JournalWriter(folder.journal) as journal:
            journal.append(encode(scan[2]))
        recover(spool.unfinished(), stop)
        assert spool.unfinished() == [folder]
        recover(spool.unfinished(), die)
        assert spool.unfinished() == []
        assert json.loads((folder.path / "session.json").read_text())["words"] == "died"
