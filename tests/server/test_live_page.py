"""The live page over HTTP: who may ask, what is answered, and that nobody who looks on holds up a session."""

from __future__ import annotations

import http.client
import json
import logging
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the live page needs fastapi: pip install 'knerve[server]'")
pytest.importorskip("uvicorn", reason="the live page needs uvicorn: pip install 'knerve[server]'")

from knerve.datasets.mrd_header import parse_header
from knerve.server.bulletin import Bulletin, Notice
from knerve.server.desk import Desk
from knerve.server.errors import ServerError
from knerve.server.housekeeping import Keeping
from knerve.server.listener import Listener
from knerve.server.live import app, patience, site
from knerve.server.live.guard import HEADERS
from knerve.server.live.health import Health
from knerve.server.live.site import LivePage
from knerve.server.messages import Header, Message
from knerve.server.replay import replay
from knerve.server.services import Services, ServiceSettings

KNERVE = (sys.executable, "-P", "-c", "from knerve.cli import main; main()")
HEALTH = Health("1.2.3", ("the disk is full",), 5 << 30, 1, 2)


@pytest.fixture
def bulletin() -> Bulletin:
    return Bulletin()


@pytest.fixture
def notice(bulletin: Bulletin, scan: list[Message]) -> Notice:
    """A scan of a patient with a name, one readout in."""
    assert isinstance(scan[1], Header)
    named = parse_header(scan[1].xml.replace(b"Demo^Knee", b"Doe^Jane"))
    assert named.scan_header.patient_name == "Doe^Jane"
    notice = bulletin.notice()
    notice.header(named)
    notice.readout(scan[-2].head)
    return notice


@pytest.fixture
def page(bulletin: Bulletin) -> Iterator[LivePage]:
    with closing(LivePage(bulletin, lambda: HEALTH, port=0)) as opened:
        yield opened


def _ask(page: LivePage, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)) as connection:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def test_every_file_of_the_page_is_served_guarded(page: LivePage) -> None:
    files = {path.name for path in Path(app.__file__).parent.iterdir() if path.suffix in app.KINDS}
    assert {"page.html", "page.css", "main.js"} < files
    assert files == set(app.page_files())
    for path in ("/", *(f"/page/{name}" for name in files)):
        status, headers, content = _ask(page, path)
        assert status == 200
        assert content
        for name, value in HEADERS.items():
            assert headers[name.lower()] == value
        assert "server" not in headers
    assert _ask(page, "/")[1]["content-type"] == "text/html; charset=utf-8"
    assert _ask(page, "/page/main.js")[1]["content-type"].startswith("text/javascript")


def test_the_page_needs_nothing_inline_and_nothing_from_elsewhere() -> None:
    for content, _ in app.page_files().values():
        text = content.decode()
        assert "http:" not in text
        assert "https:" not in text
        for forbidden in ("<style", " style=", "onclick", "innerHTML", "eval(", "@import", "//cdn"):
            assert forbidden not in text, forbidden
    assert app.page_files()["page.html"][0].count(b"<script") == 1


def test_the_package_holds_the_page() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    patterns = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]["*"]
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in app.page_files())


@pytest.mark.parametrize(
    "path", ["/page/app.py", "/page/../app.py", "/page/%2e%2e/app.py", "/docs", "/openapi.json", "/x"]
)
def test_nothing_else_is_served(page: LivePage, path: str) -> None:
    assert _ask(page, path)[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example"]
)
def test_other_names_are_refused(page: LivePage, host: str) -> None:
    for path in ("/", "/news.json", "/pictures/1/0"):
        status, headers, words = _ask(page, path, Host=host)
        assert status == 421
        assert b"as localhost" in words
        assert headers["content-security-policy"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "10.0.0.3:80"])
def test_addresses_and_localhost_are_let_in(page: LivePage, host: str) -> None:
    assert _ask(page, "/", Host=host)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_it_takes_no_commands(page: LivePage, method: str) -> None:
    assert _ask(page, "/news.json", method)[0] == 405


def test_other_web_sites_get_nothing(page: LivePage) -> None:
    assert _ask(page, "/news.json", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert _ask(page, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    assert _ask(page, "/news.json", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")[0] == 200


def test_news_name_no_patient(page: LivePage, notice: Notice, make_image) -> None:
    notice.said("WARNING  the words")
    notice.answer(make_image(4, description="FALLBACK x", image_series_index=1))
    status, _, content = _ask(page, "/news.json")
    assert status == 200
    assert b"Jane" not in content
    assert b"KNERVE" not in content.upper()
    told = json.loads(content)
    assert told["health"] == {
        "version": "1.2.3",
        "not_ready": ["the disk is full"],
        "free_bytes": 5 << 30,
        "n_lost": 1,
        "n_incomplete": 2,
    }
    (scan,) = told["scans"]
    assert (scan["state"], scan["readouts"], scan["words"]) == ("receiving", 1, ["WARNING  the words"])
    (picture,) = scan["pictures"]
    assert (picture["slice"], picture["label"], picture["size"]) == (4, "FALLBACK", [16, 12, 1])
    assert picture["spacing"] == pytest.approx([0.5, 0.8, 3.0])


@pytest.mark.parametrize(
    ("dtype", "kind"), [("<f4", "float32"), ("<u2", "uint16"), ("<i2", "int16"), ("<i4", "float32")]
)
def test_pixels_come_as_they_are(page: LivePage, notice: Notice, make_image, dtype: str, kind: str) -> None:
    values = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype)
    notice.answer(make_image(0, values))
    (picture,) = json.loads(_ask(page, "/news.json")[2])["scans"][0]["pictures"]
    for partition in (0, 1):
        status, headers, content = _ask(page, f"/pictures/{picture['number']}/{partition}")
        assert (status, headers["x-pixel-type"]) == (200, kind)
        np.testing.assert_array_equal(np.frombuffer(content, kind).reshape(3, 5), values[partition])
    for path in (f"{picture['number']}/2", f"{picture['number']}/-1", "999/0"):
        assert _ask(page, f"/pictures/{path}")[0] == 404
    assert _ask(page, "/pictures/x/0")[0] == 422


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


def test_readers_are_counted_and_limited(page: LivePage, monkeypatch) -> None:
    monkeypatch.setattr(app, "MOST_READERS", 2)
    first, second = _events(page), _events(page)
    next(first), next(second)
    assert _ask(page, "/news")[0] == 503
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
    page: LivePage, bulletin: Bulletin, notice: Notice, make_image
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
        assert len(json.loads(_ask(page, "/news.json")[2])["scans"][0]["pictures"]) == 40
    assert notice.n_bytes < 41 * 64 * 64 * 4


def test_who_takes_nothing_is_hung_up_on(bulletin: Bulletin, notice: Notice, make_image, monkeypatch) -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has no TCP_USER_TIMEOUT")
    monkeypatch.setattr(site, "STALLED_S", 0.5)
    notice.answer(make_image(0, np.zeros((1, 2048, 2048), "<f4")))
    (picture,) = bulletin.scans()[0].pictures
    with closing(LivePage(bulletin, lambda: HEALTH, port=0)) as page, socket.socket() as deaf:
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


def test_silent_and_too_many_connections_are_ended(page: LivePage, monkeypatch) -> None:
    monkeypatch.setattr(patience, "FIRST_REQUEST_S", 0.3)
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", 3)
    with ExitStack() as clients:
        silent = [clients.enter_context(socket.create_connection(("127.0.0.1", page.port), 5)) for _ in range(5)]
        started = time.monotonic()
        for connection in silent:
            with suppress(ConnectionError):
                assert connection.recv(1) == b""
        assert time.monotonic() - started < 3
    assert _ask(page, "/")[0] == 200


def test_closing_ends_events_quickly(bulletin: Bulletin, caplog: pytest.LogCaptureFixture) -> None:
    page = LivePage(bulletin, lambda: HEALTH, port=0)
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


def test_a_taken_port_is_said(page: LivePage, bulletin: Bulletin) -> None:
    with pytest.raises(ServerError, match=f"page's port {page.port} of 127.0.0.1 cannot be opened: .* with --http or"):
        LivePage(bulletin, lambda: HEALTH, port=page.port)


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_what_it_needs_is_said(bulletin: Bulletin, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "knerve.server.live.app")
    with pytest.raises(ServerError, match=rf"live page needs {missing}, .* pip install 'knerve\[server\]'"):
        LivePage(bulletin, lambda: HEALTH, port=0)


def test_a_served_scan_is_on_the_page(desk: Desk, raw_file: Path) -> None:
    settings = ServiceSettings(keeping=Keeping(least_free_bytes=0), page_port=0)
    with closing(Services(desk.spool, settings)) as services:
        seen = replace(desk, bulletin=services.bulletin)
        with closing(Listener(seen, port=0, tally=services.tally)) as listener:
            port = services.show_page_of(listener)
            Thread(target=listener.serve, daemon=True).start()
            replay(raw_file, "127.0.0.1", listener.port, config="zero-filled")
            assert listener.wait(10) == 0
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/news.json", timeout=5) as answer:
                told = json.loads(answer.read())
    (scan,) = told["scans"]
    assert scan["state"] == "done"
    assert len(scan["pictures"]) == 2
    assert told["health"]["not_ready"] == []
    assert told["health"]["free_bytes"] > 0


def test_without_a_page_port_there_is_none(desk: Desk) -> None:
    settings = ServiceSettings(keeping=Keeping(least_free_bytes=0))
    with closing(Services(desk.spool, settings)) as services, closing(Listener(desk, port=0)) as listener:
        assert services.show_page_of(listener) is None


def test_the_command_shows_the_page_where_it_is_asked_to(tmp_path: Path) -> None:
    with socket.socket() as asking:
        asking.bind(("127.0.0.2", 0))
        port = asking.getsockname()[1]
    options = ("--port", "0", "--http", str(port), "--http-host", "127.0.0.2", "--spool", str(tmp_path))
    server = subprocess.Popen((*KNERVE, "serve", *options), stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    with server.stderr:
        assert f"Live page: http://127.0.0.2:{port}/" in server.stderr.readline()
        assert "shown beyond this machine, without encryption" in server.stderr.readline()
        with urllib.request.urlopen(f"http://127.0.0.2:{port}/", timeout=20) as answer:
            assert b"Not a medical device" in answer.read()
        server.send_signal(signal.SIGINT)
        said = server.stderr.read()
        assert server.wait(20) == 0, said
    assert "Traceback" not in said
