"""Readers of the live page hear every change soon, and nobody who looks on holds up a session."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the live page needs fastapi: pip install 'knerve[server]'")
pytest.importorskip("uvicorn", reason="the live page needs uvicorn: pip install 'knerve[server]'")

from knerve.server.bulletin import Bulletin, Notice
from knerve.server.live import app, patience, site
from knerve.server.live.health import Health
from knerve.server.live.site import LivePage


def _events(page: LivePage) -> Iterator[dict[str, object]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{page.port}/news", timeout=5) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def test_events_tell_every_change_soon(page: LivePage, notice: Notice, make_image, monkeypatch) -> None:
    events = _events(page)
    assert next(events)["scans"][0]["pictures"] == []
    notice.answer(make_image())
    started = time.monotonic()
    assert len(next(events)["scans"][0]["pictures"]) == 1
    assert time.monotonic() - started < 1
    monkeypatch.setattr(app, "HEARTBEAT_S", 0.3)
    next(events)
    events.close()


def test_readers_are_counted_and_limited(page: LivePage, monkeypatch, ask_page) -> None:
    monkeypatch.setattr(app, "MOST_READERS", 2)
    first, second = _events(page), _events(page)
    next(first), next(second)
    assert ask_page(page, "/news")[0] == 503
    first.close()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with suppress(urllib.error.HTTPError):
            third = _events(page)
            next(third)
            third.close()
            break
        time.sleep(0.1)
    else:
        pytest.fail("the place of a reader who left was not given to another")
    second.close()


def test_who_never_reads_holds_up_nobody_and_grows_nothing(
    page: LivePage, bulletin: Bulletin, notice: Notice, make_image, ask_page
) -> None:
    pixels = np.zeros((1, 512, 512), "<f4")
    notice.answer(make_image(0, pixels))
    (picture,) = bulletin.scans()[0].pictures
    with ExitStack() as deaf:
        for path in ("/news", f"/pictures/{picture.number}/0") * 4:
            connection = deaf.enter_context(socket.create_connection(("127.0.0.1", page.port), 5))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(0.2)
        slowest = 0.0
        for number in range(400):
            started = time.monotonic()
            notice.answer(make_image(number % 40, pixels[:, :64, :64]))
            slowest = max(slowest, time.monotonic() - started)
        assert slowest < 0.25
        assert len(json.loads(ask_page(page, "/news.json")[2])["scans"][0]["pictures"]) == 40
    assert notice.n_bytes < 41 * 64 * 64 * 4


def test_who_takes_nothing_is_hung_up_on(bulletin: Bulletin, notice: Notice, make_image, monkeypatch) -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has no TCP_USER_TIMEOUT")
    monkeypatch.setattr(site, "STALLED_S", 0.5)
    notice.answer(make_image(0, np.zeros((1, 2048, 2048), "<f4")))
    (picture,) = bulletin.scans()[0].pictures
    with closing(LivePage(bulletin, lambda: Health("1.2.3"), port=0)) as page, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(10)
        deaf.connect(("127.0.0.1", page.port))
        deaf.sendall(f"GET /pictures/{picture.number}/0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        connections = page._server.server_state.connections
        until = time.monotonic() + 8
        while not connections and time.monotonic() < until:
            time.sleep(0.02)
        assert connections
        while connections and time.monotonic() < until:
            time.sleep(0.1)
        assert not connections


def test_silent_and_too_many_connections_are_ended(page: LivePage, monkeypatch, ask_page) -> None:
    monkeypatch.setattr(patience, "FIRST_REQUEST_S", 0.3)
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", 3)
    with ExitStack() as clients:
        silent = [clients.enter_context(socket.create_connection(("127.0.0.1", page.port), 5)) for _ in range(5)]
        started = time.monotonic()
        for connection in silent:
            with suppress(ConnectionError):
                assert connection.recv(1) == b""
        assert time.monotonic() - started < 3
    assert ask_page(page, "/")[0] == 200


def test_closing_ends_events_quickly(bulletin: Bulletin, caplog: pytest.LogCaptureFixture) -> None:
    page = LivePage(bulletin, lambda: Health("1.2.3"), port=0)
    events = _events(page)
    next(events)
    started = time.monotonic()
    with caplog.at_level(logging.INFO):
        page.close()
    assert time.monotonic() - started < 3
    with suppress(OSError, http.client.HTTPException):
        assert list(events) is not None
    assert caplog.records == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", page.port), 1)
