"""The status port: three answers, nothing else, and nobody who asks slowly holds it up."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from knerve.server.errors import ServerError
from knerve.server.metrics import Counter
from knerve.server.status import MOST_AT_ONCE, StatusServer

REASONS: list[str] = []


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr("knerve.server.status.LONGEST_S", 0.5)
    REASONS.clear()
    counter = Counter("knerve_things_total", "Things.")
    with closing(StatusServer(0, [counter], lambda: REASONS)) as server:
        yield server.port


def _get(port: int, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode(), refusal.headers["Content-Type"]


def test_it_tells_life_readiness_and_numbers(port: int) -> None:
    assert _get(port, "/livez")[:2] == (200, "alive\n")
    assert _get(port, "/readyz?verbose")[:2] == (200, "ready\n")
    REASONS.append("the disk is full")
    assert _get(port, "/readyz")[:2] == (503, "not ready: the disk is full\n")
    status, words, kind = _get(port, "/metrics")
    assert status == 200
    assert words.endswith("knerve_things_total 0\n")
    assert kind.startswith("text/plain; version=0.0.4")


def test_other_questions_are_refused(port: int) -> None:
    assert _get(port, "/../etc/passwd")[:2] == (404, "Ask for /livez, /readyz or /metrics.\n")
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"POST /metrics HTTP/1.0\r\n\r\n")
        assert b" 501 " in client.recv(1000).splitlines()[0]


def test_who_asks_slowly_is_hung_up_on(port: int) -> None:
    started = time.monotonic()
    with ExitStack() as clients:
        slow = [clients.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(MOST_AT_ONCE)]
        for client in slow:
            client.sendall(b"GET /liv")
        time.sleep(0.1)
        with socket.create_connection(("127.0.0.1", port), 5) as late:  # there is no room for it
            assert late.recv(100) == b""
        assert time.monotonic() - started < 0.5
        for client in slow:
            assert client.recv(100) == b""
    assert time.monotonic() - started < 3
    assert _get(port, "/livez")[0] == 200


def test_a_taken_port_is_said(port: int) -> None:
    with pytest.raises(ServerError, match=f"Status port {port} cannot be opened: .* Choose another with --status-port"):
        StatusServer(port, [], lambda: ())
