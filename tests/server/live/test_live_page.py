"""The live page over HTTP: who may ask, and what is answered."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the live page needs fastapi: pip install 'knerve[server]'")
pytest.importorskip("uvicorn", reason="the live page needs uvicorn: pip install 'knerve[server]'")

from knerve.server.bulletin import Bulletin, Notice
from knerve.server.desk import Desk
from knerve.server.errors import ServerError
from knerve.server.housekeeping import Keeping
from knerve.server.listener import Listener
from knerve.server.live import app
from knerve.server.live.guard import HEADERS
from knerve.server.live.health import Health
from knerve.server.live.site import LivePage
from knerve.server.replay import replay
from knerve.server.services import Services, ServiceSettings

KNERVE = (sys.executable, "-P", "-c", "from knerve.cli import main; main()")


def test_every_file_of_the_page_is_served_guarded(page: LivePage, ask_page) -> None:
    files = {path.name for path in Path(app.__file__).parent.iterdir() if path.suffix in app.KINDS}
    assert {"page.html", "page.css", "main.js"} < files
    assert files == set(app.page_files())
    for path in ("/", *(f"/page/{name}" for name in files)):
        status, headers, content = ask_page(page, path)
        assert status == 200
        assert content
        for name, value in HEADERS.items():
            assert headers[name.lower()] == value
        assert "server" not in headers
    assert ask_page(page, "/")[1]["content-type"] == "text/html; charset=utf-8"
    assert ask_page(page, "/page/main.js")[1]["content-type"].startswith("text/javascript")


def test_the_page_needs_nothing_inline_and_nothing_from_elsewhere() -> None:
    for content, _ in app.page_files().values():
        text = content.decode()
        assert "http:" not in text
        assert "https:" not in text
        for forbidden in ("<style", " style=", "onclick", "innerHTML", "eval(", "@import", "//cdn"):
            assert forbidden not in text, forbidden
    assert app.page_files()["page.html"][0].count(b"<script") == 1


def test_the_package_holds_the_page() -> None:
    pyproject = Path(__file__).parents[3] / "pyproject.toml"
    patterns = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]["*"]
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in app.page_files())


@pytest.mark.parametrize(
    "path", ["/page/app.py", "/page/../app.py", "/page/%2e%2e/app.py", "/docs", "/openapi.json", "/x"]
)
def test_nothing_else_is_served(page: LivePage, path: str, ask_page) -> None:
    assert ask_page(page, path)[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example"]
)
def test_other_names_are_refused(page: LivePage, host: str, ask_page) -> None:
    for path in ("/", "/news.json", "/pictures/1/0"):
        status, headers, words = ask_page(page, path, Host=host)
        assert status == 421
        assert b"as localhost" in words
        assert headers["content-security-policy"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "10.0.0.3:80"])
def test_addresses_and_localhost_are_let_in(page: LivePage, host: str, ask_page) -> None:
    assert ask_page(page, "/", Host=host)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_it_takes_no_commands(page: LivePage, method: str, ask_page) -> None:
    assert ask_page(page, "/news.json", method)[0] == 405


def test_other_web_sites_get_nothing(page: LivePage, ask_page) -> None:
    assert ask_page(page, "/news.json", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert ask_page(page, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    assert ask_page(page, "/news.json", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")[0] == 200


def test_news_name_no_patient(page: LivePage, notice: Notice, make_image, ask_page) -> None:
    notice.said("WARNING  the words")
    notice.answer(make_image(4, description="FALLBACK x", image_series_index=1))
    status, _, content = ask_page(page, "/news.json")
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
def test_pixels_come_as_they_are(page: LivePage, notice: Notice, make_image, dtype: str, kind: str, ask_page) -> None:
    values = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype)
    notice.answer(make_image(0, values))
    (picture,) = json.loads(ask_page(page, "/news.json")[2])["scans"][0]["pictures"]
    for partition in (0, 1):
        status, headers, content = ask_page(page, f"/pictures/{picture['number']}/{partition}")
        assert (status, headers["x-pixel-type"]) == (200, kind)
        np.testing.assert_array_equal(np.frombuffer(content, kind).reshape(3, 5), values[partition])
    for path in (f"{picture['number']}/2", f"{picture['number']}/-1", "999/0"):
        assert ask_page(page, f"/pictures/{path}")[0] == 404
    assert ask_page(page, "/pictures/x/0")[0] == 422


def test_a_taken_port_is_said(page: LivePage, bulletin: Bulletin) -> None:
    with pytest.raises(ServerError, match=f"page's port {page.port} of 127.0.0.1 cannot be opened: .* with --http or"):
        LivePage(bulletin, lambda: Health("1.2.3"), port=page.port)


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_what_it_needs_is_said(bulletin: Bulletin, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "knerve.server.live.app")
    with pytest.raises(ServerError, match=rf"live page needs {missing}, .* pip install 'knerve\[server\]'"):
        LivePage(bulletin, lambda: Health("1.2.3"), port=0)


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
