"""One client: whatever it sends and whenever it goes, it gets words and CLOSE, and its readouts are kept."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from knerve.datasets.mrd_file import read_mrd
from knerve.datasets.mrd_images import write_mrd_images
from knerve.datasets.plane_series import plane_series
from knerve.recon.images import RESEARCH_USE
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings
from knerve.server.desk import Desk
from knerve.server.errors import SpoolError, WorkerError
from knerve.server.framing import Frame
from knerve.server.image_file import image_messages
from knerve.server.job import Job
from knerve.server.journal import JournalReader
from knerve.server.listener import Listener, serve_client
from knerve.server.messages import (
    IMAGE_HEAD,
    Close,
    ConfigFile,
    ConfigText,
    Header,
    Image,
    Message,
    NdArray,
    Query,
    Response,
    Text,
)
from knerve.server.recovery import recover
from knerve.server.wire import encode, read_messages

Ask = Callable[..., list[Message]]


def words_of(answer: list[Message]) -> str:
    return "\n".join(message.text for message in answer if isinstance(message, Text))


def record_of(desk: Desk) -> dict[str, object]:
    (folder,) = desk.spool.sessions()
    return json.loads((folder.path / "session.json").read_text(encoding="utf-8"))


def test_a_scan_becomes_the_images_that_recon_makes(
    ask: Ask, desk: Desk, scan: list[Message], raw_file: Path, tmp_path: Path
) -> None:
    answer = ask(*scan)
    images = [message for message in answer if isinstance(message, Image)]
    assert isinstance(answer[0], Text)
    assert RESEARCH_USE in answer[0].text
    write_mrd_images(plane_series(reconstruct(read_mrd(raw_file), Settings(method="zero-filled"))), tmp_path / "b.h5")
    expected = list(image_messages(tmp_path / "b.h5"))
    assert [encode(image) for image in images] == [encode(image) for image in expected]
    assert len(images) == 2
    assert images[0].pixels.dtype == np.float32
    assert images[0].pixels.shape == (1, 1, 24, 32)
    assert images[1].head["image_type"] == 1
    assert RESEARCH_USE in images[1].attributes
    record = record_of(desk)
    assert record["state"] == "done"
    assert record["pipeline"] == "zero-filled"
    assert record["n_readouts"] == len(scan) - 3
    assert record["measurement_id"] == "demo_0"


@pytest.mark.parametrize(
    ("config", "pipeline"),
    [
        (ConfigFile("CS.xml"), "cs"),
        (ConfigText("sense"), "sense"),
        (ConfigText('{"parameters": {"config": "sense", "customconfig": ""}}\0'), "sense"),
        (ConfigText("<gadgetronStreamConfiguration/>"), "default"),
        (ConfigFile("../../etc/passwd"), "default"),
        (ConfigText("[" * 100_000), "default"),
    ],
)
def test_configs_are_names_on_a_list(desk: Desk, ask: Ask, scan: list[Message], config: Message, pipeline: str) -> None:
    answer = ask(config, *scan[1:6])
    assert record_of(desk)["pipeline"] == pipeline
    assert ("There is no config" in words_of(answer)) == (pipeline == "default")


def test_parameters_behind_the_header_override_the_config(desk: Desk, ask: Ask, scan: list[Message]) -> None:
    asked = Text('{"parameters": {"config": "cs", "customconfig": "sense"}}')
    ask(scan[0], scan[1], Text("free words"), asked, *scan[2:6])
    assert record_of(desk)["pipeline"] == "sense"


def test_queries_are_answered(ask: Ask, desk: Desk) -> None:
    answer = ask(Query(3, "gadgetron::version"), Query(4, "what?"), Close())
    assert answer[0] == Response(3, answer[0].answer)
    assert "knerve" in answer[0].answer
    assert answer[1] == Response(4, "Unknown query")
    assert isinstance(answer[2], Text)
    assert desk.spool.sessions() == []


@pytest.mark.parametrize(
    ("n_messages", "words"),
    [
        (0, "ended before a message came"),
        (1, "without CLOSE and without readouts"),
        (2, "without CLOSE and without readouts"),
    ],
)
def test_sessions_without_data_leave_nothing(
    desk: Desk, ask: Ask, scan: list[Message], n_messages: int, words: str
) -> None:
    assert words in words_of(ask(*scan[:n_messages]))
    assert desk.spool.sessions() == []


def test_empty_sessions_end_well(desk: Desk, ask: Ask, scan: list[Message]) -> None:
    assert "Nothing was to be done" in words_of(ask(Close()))
    assert "No readouts came" in words_of(ask(scan[0], Close()))
    assert "No readouts came" in words_of(ask(scan[0], scan[1], Close()))
    assert desk.spool.sessions() == []


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


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ((2,), "Acquisition came before the header; send config, header, then data"),
        ((0, 2), "Acquisition came before the header"),
        ((0, 1, 0), "A second config came"),
        ((0, 1, 2, 1), "A second header came"),
    ],
)
def test_wrong_order_is_said(ask: Ask, scan: list[Message], order: tuple[int, ...], words: str) -> None:
    answer = ask(*(scan[i] for i in order), Close())
    assert f"ERROR    {words}" in words_of(answer)


def test_what_only_servers_send_is_refused(ask: Ask, scan: list[Message]) -> None:
    assert "Response came, which only servers send" in words_of(ask(scan[0], Response(1, "x")))


def test_a_header_that_cannot_be_read_keeps_the_readouts(ask: Ask, desk: Desk, scan: list[Message]) -> None:
    answer = ask(scan[0], Header(b"Dummy XML header"), *scan[2:])
    assert "Readouts are kept, but cannot be reconstructed" in words_of(answer)
    assert "ERROR    The header is not well-formed XML" in words_of(answer)
    (folder,) = desk.spool.sessions()
    assert folder.raw.is_file()
    assert folder.read().state == "failed"


def test_what_a_full_disk_prevented_is_done_at_the_next_start(
    ask: Ask, desk: Desk, scan: list[Message], monkeypatch: pytest.MonkeyPatch
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


def test_data_of_other_kinds_are_kept(ask: Ask, desk: Desk, scan: list[Message]) -> None:
    answer = ask(*scan[:2], NdArray(np.zeros(3, np.float32)), Close())
    assert "Kept, but not used: 1 message of other kinds" in words_of(answer)
    (folder,) = desk.spool.sessions()
    assert folder.read().state == "done"


def test_a_stream_that_is_lost_keeps_what_came(ask: Ask, desk: Desk, scan: list[Message]) -> None:
    answer = ask(*scan[:40], b"\x01\x10" + bytes(100))
    assert "ERROR    Message id 4097" in words_of(answer)
    (folder,) = desk.spool.sessions()
    assert len(list(JournalReader(folder.journal))) == 40
    assert folder.read().state == "failed"
    assert len(read_mrd(folder.raw).frames) > 0


def test_a_silent_client_is_told(ask: Ask, scan: list[Message]) -> None:
    assert "did not come in time" in words_of(ask(handshake_s=0.05))
    assert "did not come in time" in words_of(ask(scan[0], handshake_s=0.05))
    assert "Nothing came for 0.05 s, after 3 readouts and no CLOSE" in words_of(ask(*scan[:5], silence_s=0.05))
    half = encode(scan[5]).raw[:500]
    assert "did not come in time" in words_of(ask(*scan[:5], half, message_s=0.05))


def test_a_dribbling_client_does_not_hold_a_message_open(desk: Desk, scan: list[Message]) -> None:
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


def test_a_client_that_never_reads_is_given_up(desk: Desk, scan: list[Message]) -> None:
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


def test_a_dying_worker_is_told_and_the_session_stays_open(ask: Ask, desk: Desk, scan: list[Message]) -> None:
    def die(_: Job) -> Iterator[Frame]:
        yield encode(Text("INFO     so far, so good"))
        raise WorkerError("ended by signal SIGSEGV")

    assert "ERROR    ended by signal SIGSEGV" in words_of(ask(*scan, reconstruct=die))
    assert record_of(desk)["state"] == "reconstructing"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_is_told_too(ask: Ask, desk: Desk, scan: list[Message]) -> None:
    def defect(_: Job) -> Iterator[Frame]:
        yield encode(Text("INFO     so far, so good"))
        raise ZeroDivisionError

    assert "ERROR    The server failed; the raw data that came are kept" in words_of(ask(*scan, reconstruct=defect))
    assert record_of(desk)["state"] == "reconstructing"


def test_no_image_is_no_success(desk: Desk, ask: Ask, scan: list[Message]) -> None:
    assert "ERROR    The reconstruction made no image" in words_of(ask(*scan, reconstruct=lambda _: iter(())))
    assert record_of(desk)["state"] == "failed"


def test_a_full_disk_is_told(ask: Ask, scan: list[Message], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SpoolError("The journal cannot be written on")

    monkeypatch.setattr("knerve.server.journal.JournalWriter.append", full)
    assert "ERROR    The journal cannot be written on" in words_of(ask(*scan))


def test_several_clients_at_once_over_tcp(desk: Desk, scan: list[Message]) -> None:
    listener = Listener(desk, port=0, most_clients=4)
    Thread(target=listener.serve, daemon=True).start()
    stream = [encode(message).raw for message in scan]
    clients = [socket.create_connection(("127.0.0.1", listener.port), 20) for _ in range(4)]
    for raw in stream[:-1]:
        for client in clients:
            client.sendall(raw)
    with socket.create_connection(("127.0.0.1", listener.port), 20) as late, late.makefile("rb") as answers:
        answer = list(read_messages(answers))
        assert "as many clients as it takes" in words_of(answer)
        assert answer[-1] == Close()
    answers = []
    for client in clients:
        client.sendall(stream[-1])
    for client in clients:
        with client, client.makefile("rb") as stream_back:
            answers.append([encode(m) for m in read_messages(stream_back)])
    listener.close()
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert len(desk.spool.sessions()) == 4
