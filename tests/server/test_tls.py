"""Encryption and certificates in front of a session: a known client is served, nobody else gets in or holds a place."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from knerve.server.desk import Desk
from knerve.server.errors import ServerError
from knerve.server.listener import Listener
from knerve.server.messages import IMAGE_HEAD, Close, Image, Message
from knerve.server.tally import Tally
from knerve.server.tls import Certificates, TlsDoor
from knerve.server.wire import encode, read_messages

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
LARGE = encode(Image(np.zeros(1, IMAGE_HEAD)[0], "", np.arange(1 << 20, dtype=np.float32).reshape(1, 1, 1024, 1024)))


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(("openssl", *map(str, arguments)), check=True, capture_output=True)


def _certificate(folder: Path, name: str) -> Certificates:
    certificates = Certificates(folder / f"{name}.pem", folder / f"{name}.key")
    subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", certificates.key)
    _openssl("req", "-x509", *key, "-days", "2", *subject, "-out", certificates.certificate)
    return certificates


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificates]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: _certificate(folder, name) for name in ("server", "scanner", "stranger")}


@pytest.fixture
def server(known: dict[str, Certificates], desk: Desk) -> Iterator[tuple[int, Tally, Listener]]:
    tally = Tally()
    door = TlsDoor(replace(known["server"], client_authority=known["scanner"].certificate), handshake_s=0.5)
    with closing(Listener(desk, port=0, most_clients=2, tally=tally, door=door)) as listener:
        Thread(target=listener.serve, daemon=True).start()
        yield listener.port, tally, listener


@contextmanager
def _connected(port: int, known: dict[str, Certificates], who: str | None) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=known["server"].certificate)
    if who is not None:
        context.load_cert_chain(known[who].certificate, known[who].key)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as client,
    ):
        yield client


def _conversation(client: ssl.SSLSocket, messages: list[Message]) -> list[Message]:
    client.sendall(b"".join(encode(message).raw for message in messages))
    with client.makefile("rb") as answers:
        return list(read_messages(answers))


def test_a_known_client_is_served(server, known: dict[str, Certificates], scan: list[Message], desk: Desk) -> None:
    port, tally, listener = server
    with _connected(port, known, "scanner") as client:
        answer = _conversation(client, scan)
    assert sum(isinstance(message, Image) for message in answer) == 2
    assert answer[-1] == Close()
    assert listener.wait(10) == 0
    assert tally.finished.value("done") == 1
    (folder,) = desk.spool.sessions()
    assert folder.read().n_readouts == len(scan) - 3


def test_much_goes_both_ways_at_once(known: dict[str, Certificates], scan: list[Message], desk: Desk) -> None:
    own = replace(desk, reconstruct=lambda _: iter([LARGE] * 8))
    with closing(Listener(own, port=0, door=TlsDoor(known["server"]))) as listener:
        Thread(target=listener.serve, daemon=True).start()
        with _connected(listener.port, known, None) as client:  # without an authority anybody is served
            answer = _conversation(client, [*scan[:-1], *scan[2:-1] * 8, scan[-1]])
    images = [message for message in answer if isinstance(message, Image)]
    assert [encode(image) for image in images] == [LARGE] * 8
    assert answer[-1] == Close()


@pytest.mark.parametrize("who", [None, "stranger"])
def test_nobody_else_gets_in(server, known: dict[str, Certificates], scan: list[Message], desk: Desk, who) -> None:
    port, tally, listener = server
    with pytest.raises((ssl.SSLError, ConnectionError)), _connected(port, known, who) as client:
        _conversation(client, scan)  # TLS 1.3 tells the client when it reads
    assert listener.wait(10) == 0
    assert tally.turned_away.value("door") == 1
    assert desk.spool.sessions() == []


def test_who_speaks_no_tls_or_nothing_holds_no_place(
    server, known: dict[str, Certificates], scan: list[Message]
) -> None:
    port, tally, listener = server
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        plain.sendall(encode(scan[0]).raw)
        with suppress(ConnectionResetError):
            while plain.recv(100):  # at most an alert
                pass
    assert listener.wait(5) == 0
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 5) as silent, socket.create_connection(("127.0.0.1", port), 5):
        assert silent.recv(100) == b""
        assert listener.wait(5) == 0
    assert time.monotonic() - started < 4
    assert tally.turned_away.value("door") == 3
    with _connected(port, known, "scanner") as client:
        assert _conversation(client, scan)[-1] == Close()


def test_a_client_that_vanishes_is_an_aborted_scan(server, known: dict[str, Certificates], scan, desk: Desk) -> None:
    port, tally, listener = server
    with _connected(port, known, "scanner") as client:
        client.sendall(b"".join(encode(message).raw for message in scan[:10]))
    assert listener.wait(10) == 0
    assert tally.finished.value("incomplete") == 1
    (folder,) = desk.spool.sessions()
    assert folder.read().n_readouts == 8


def test_wrong_files_are_said(known: dict[str, Certificates], tmp_path: Path) -> None:
    ours, theirs = known["server"], known["scanner"]
    with pytest.raises(ServerError, match=r"cannot be used: .* Give PEM files that belong together"):
        TlsDoor(replace(ours, key=theirs.key))
    with pytest.raises(ServerError, match="Give PEM files that belong together"):
        TlsDoor(replace(ours, certificate=tmp_path / "none.pem"))
    locked = tmp_path / "locked.key"
    _openssl("ec", "-in", ours.key, "-aes256", "-passout", "pass:secret", "-out", locked)
    with pytest.raises(ServerError, match="the key asks for a password"):
        TlsDoor(replace(ours, key=locked))
    with pytest.raises(ServerError, match=r"The client authority .* Give a PEM file with --tls-client-ca"):
        TlsDoor(replace(ours, client_authority=ours.key))
