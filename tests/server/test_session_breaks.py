"""What can break during a session: clients that go or fall silent, workers that die, full disks; readouts that came are kept."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Thread

import numpy as np
import pytest

from knerve.datasets.mrd_file import read_mrd
from knerve.server.desk import Desk
from knerve.server.errors import SpoolError, WorkerError
from knerve.server.framing import Frame
from knerve.server.job import Job
from knerve.server.journal import JournalReader
from knerve.server.listener import serve_client
from knerve.server.messages import (
    IMAGE_HEAD,
    Image,
    Message,
    Text,
)
from knerve.server.recovery import recover
from knerve.server.wire import encode, read_messages

Ask = Callable[..., list[Message]]


def test_a_client_gone_at_any_message_loses_nothing(desk: Desk, scan: list[Message]) -> None:
    frames = [encode(message) for message in scan]
    for n_sent in range(len(frames) + 1):
        ours, theirs = socket.socketpair()
        server = Thread(target=serve_client, args=(theirs, desk))
        server.start()
        ours.sendall(b"".join(frame.raw for frame in frames[:n_sent]))
        ours.close()  # without reading
        server.join(20)
        assert not server.is_alive()
        kept = desk.spool.sessions()
        assert len(kept) == (n_sent > 2)
        for folder in kept:
            assert list(JournalReader(folder.journal)) == frames[:n_sent]
            assert folder.read().state == ("done" if n_sent == len(frames) else "incomplete")
            assert folder.images.exists() == (n_sent == len(frames))
            assert folder.raw.is_file()
            folder.remove()


def test_what_a_full_disk_prevented_is_done_at_the_next_start(
    ask: Ask, desk: Desk, scan: list[Message], monkeypatch: pytest.MonkeyPatch, words_of
) -> None:
    def no_room(_: Job) -> Iterator[Frame]:
        yield encode(Text("ERROR    raw.h5 could not be written: No space left on device."))

    usage = shutil.disk_usage(desk.spool.path)
    monkeypatch.setattr("knerve.server.spool.shutil.disk_usage", lambda _: usage._replace(free=1 << 20))
    answer = ask(*scan, reconstruct=no_room)
    assert "WARNING  The disk is full: the images are made when there is room" in words_of(answer)
    (folder,) = desk.spool.unfinished()
    monkeypatch.undo()
    recover([folder], desk.reconstruct)
    assert folder.read().state == "done"
    assert folder.images.is_file()
    ask(*scan, reconstruct=no_room)  # for another reason, as there is room: that is final
    assert desk.spool.unfinished() == []


def test_a_stream_that_is_lost_keeps_what_came(ask: Ask, desk: Desk, scan: list[Message], words_of) -> None:
    answer = ask(*scan[:40], b"\x01\x10" + bytes(100))
    assert "ERROR    Message id 4097" in words_of(answer)
    (folder,) = desk.spool.sessions()
    assert len(list(JournalReader(folder.journal))) == 40
    assert folder.read().state == "failed"
    assert len(read_mrd(folder.raw).frames) > 0


def test_a_silent_client_is_told(ask: Ask, scan: list[Message], words_of) -> None:
    assert "did not come in time" in words_of(ask(handshake_s=0.05))
    assert "did not come in time" in words_of(ask(scan[0], handshake_s=0.05))
    assert "Nothing came for 0.05 s, after 3 readouts and no CLOSE" in words_of(ask(*scan[:5], silence_s=0.05))
    half = encode(scan[5]).raw[:500]
    assert "did not come in time" in words_of(ask(*scan[:5], half, message_s=0.05))


def test_a_dribbling_client_does_not_hold_a_message_open(desk: Desk, scan: list[Message], words_of) -> None:
    own = replace(desk, patience=replace(desk.patience, message_s=0.2))
    ours, theirs = socket.socketpair()
    Thread(target=serve_client, args=(theirs, own), daemon=True).start()
    ours.sendall(b"".join(encode(message).raw for message in scan[:5]))
    raw = encode(scan[5]).raw
    started = time.monotonic()
    with ours, ours.makefile("rb") as answers:
        for byte in raw[:100]:
            try:
                ours.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.01)
        assert "did not come in time" in words_of(list(read_messages(answers)))
    assert time.monotonic() - started < 5


def test_a_client_that_never_reads_is_given_up(desk: Desk, scan: list[Message], record_of) -> None:
    large = Image(np.zeros(1, IMAGE_HEAD)[0], "", np.zeros((1, 1, 1024, 1024), np.float32))
    frames = [encode(large)] * 100
    own = replace(desk, reconstruct=lambda _: iter(frames), patience=replace(desk.patience, sending_s=0.2))
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"".join(encode(message).raw for message in scan))
        server = Thread(target=serve_client, args=(theirs, own))
        server.start()
        server.join(10)
        assert not server.is_alive()
    assert record_of(desk)["state"] == "done"


def test_a_dying_worker_is_told_and_the_session_stays_open(
    ask: Ask, desk: Desk, scan: list[Message], words_of, record_of
) -> None:
    def die(_: Job) -> Iterator[Frame]:
        yield encode(Text("INFO     so far, so good"))
        raise WorkerError("ended by signal SIGSEGV")

    assert "ERROR    ended by signal SIGSEGV" in words_of(ask(*scan, reconstruct=die))
    assert record_of(desk)["state"] == "reconstructing"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_is_told_too(ask: Ask, desk: Desk, scan: list[Message], words_of, record_of) -> None:
    def defect(_: Job) -> Iterator[Frame]:
        yield encode(Text("INFO     so far, so good"))
        raise ZeroDivisionError

    assert "ERROR    The server failed; the raw data that came are kept" in words_of(ask(*scan, reconstruct=defect))
    assert record_of(desk)["state"] == "reconstructing"


def test_no_image_is_no_success(desk: Desk, ask: Ask, scan: list[Message], words_of, record_of) -> None:
    assert "ERROR    The reconstruction made no image" in words_of(ask(*scan, reconstruct=lambda _: iter(())))
    assert record_of(desk)["state"] == "failed"


def test_a_full_disk_is_told(ask: Ask, scan: list[Message], monkeypatch: pytest.MonkeyPatch, words_of) -> None:
    def full(*_: object) -> None:
        raise SpoolError("The journal cannot be written on")

    monkeypatch.setattr("knerve.server.journal.JournalWriter.append", full)
    assert "ERROR    The journal cannot be written on" in words_of(ask(*scan))
