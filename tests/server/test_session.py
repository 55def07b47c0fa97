"""One client: whatever it sends, and in whatever order, it gets images or words, and CLOSE."""

from __future__ import annotations

import socket
from collections.abc import Callable
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
from knerve.server.image_file import image_messages
from knerve.server.listener import Listener
from knerve.server.messages import (
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
from knerve.server.wire import encode, read_messages

Ask = Callable[..., list[Message]]


def test_a_scan_becomes_the_images_that_recon_makes(
    ask: Ask, desk: Desk, scan: list[Message], raw_file: Path, tmp_path: Path, record_of
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
def test_configs_are_names_on_a_list(
    desk: Desk, ask: Ask, scan: list[Message], config: Message, pipeline: str, words_of, record_of
) -> None:
    answer = ask(config, *scan[1:6])
    assert record_of(desk)["pipeline"] == pipeline
    assert ("There is no config" in words_of(answer)) == (pipeline == "default")


def test_parameters_behind_the_header_override_the_config(desk: Desk, ask: Ask, scan: list[Message], record_of) -> None:
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
    desk: Desk, ask: Ask, scan: list[Message], n_messages: int, words: str, words_of
) -> None:
    assert words in words_of(ask(*scan[:n_messages]))
    assert desk.spool.sessions() == []


def test_empty_sessions_end_well(desk: Desk, ask: Ask, scan: list[Message], words_of) -> None:
    assert "Nothing was to be done" in words_of(ask(Close()))
    assert "No readouts came" in words_of(ask(scan[0], Close()))
    assert "No readouts came" in words_of(ask(scan[0], scan[1], Close()))
    assert desk.spool.sessions() == []


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ((2,), "Acquisition came before the header; send config, header, then data"),
        ((0, 2), "Acquisition came before the header"),
        ((0, 1, 0), "A second config came"),
        ((0, 1, 2, 1), "A second header came"),
    ],
)
def test_wrong_order_is_said(ask: Ask, scan: list[Message], order: tuple[int, ...], words: str, words_of) -> None:
    answer = ask(*(scan[i] for i in order), Close())
    assert f"ERROR    {words}" in words_of(answer)


def test_what_only_servers_send_is_refused(ask: Ask, scan: list[Message], words_of) -> None:
    assert "Response came, which only servers send" in words_of(ask(scan[0], Response(1, "x")))


def test_a_header_that_cannot_be_read_keeps_the_readouts(ask: Ask, desk: Desk, scan: list[Message], words_of) -> None:
    answer = ask(scan[0], Header(b"Dummy XML header"), *scan[2:])
    assert "Readouts are kept, but cannot be reconstructed" in words_of(answer)
    assert "ERROR    The header is not well-formed XML" in words_of(answer)
    (folder,) = desk.spool.sessions()
    assert folder.raw.is_file()
    assert folder.read().state == "failed"


def test_data_of_other_kinds_are_kept(ask: Ask, desk: Desk, scan: list[Message], words_of) -> None:
    answer = ask(*scan[:2], NdArray(np.zeros(3, np.float32)), Close())
    assert "Kept, but not used: 1 message of other kinds" in words_of(answer)
    (folder,) = desk.spool.sessions()
    assert folder.read().state == "done"


def test_several_clients_at_once_over_tcp(desk: Desk, scan: list[Message], words_of) -> None:
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
