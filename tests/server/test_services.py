"""What stands beside a listener, together: one spool, its numbers, its room, its receivers."""

from __future__ import annotations

import shutil
import socket
import sys
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import replace
from threading import Thread

import pytest

from knerve.server.desk import Desk
from knerve.server.dicom_peer import Peer
from knerve.server.errors import ServerError
from knerve.server.housekeeping import GIB, Keeping
from knerve.server.listener import Listener
from knerve.server.messages import Message
from knerve.server.services import Services, ServiceSettings
from knerve.server.wire import encode, read_messages

SETTINGS = ServiceSettings(keeping=Keeping(quota_bytes=GIB, least_free_bytes=0), status_port=0)


def _get(port: int, question: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{question}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def test_a_session_shows_in_all_of_them(desk: Desk, scan: list[Message], monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        closing(Services(desk.spool, SETTINGS)) as services,
        closing(Listener(desk, port=0, tally=services.tally)) as listener,
    ):
        port = services.tell_status_of(listener)
        Thread(target=listener.serve, daemon=True).start()
        with socket.create_connection(("127.0.0.1", listener.port), 20) as client, client.makefile("rb") as answers:
            client.sendall(b"".join(encode(message).raw for message in scan))
            list(read_messages(answers))
        assert listener.wait(10) == 0
        (folder,) = desk.spool.sessions()
        status, told = _get(port, "metrics")
        assert status == 200
        names = {line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")}
        assert len(names) == told.count("# TYPE")
        assert f"knerve_spool_bytes {folder.n_bytes()}\n" in told
        assert 'knerve_spool_sessions{state="done"} 1\n' in told
        assert f"knerve_spool_quota_bytes {GIB}\n" in told
        assert "knerve_jobs 0\n" in told
        assert _get(port, "readyz") == (200, "ready\n")
        monkeypatch.setattr(shutil, "disk_usage", _no_disk)
        assert _get(port, "readyz")[1].startswith("not ready: The disk of the spool folder cannot be used (I/O error)")
        listener.close()
        assert _get(port, "readyz")[1].startswith("not ready: the server is being stopped\n")
        assert _get(port, "livez") == (200, "alive\n")


def _no_disk(_: object) -> None:
    raise OSError(5, "I/O error")


def test_without_a_status_port_there_is_none(desk: Desk) -> None:
    with (
        closing(Services(desk.spool, replace(SETTINGS, status_port=None))) as services,
        closing(Listener(desk, port=0)) as listener,
    ):
        assert services.tell_status_of(listener) is None


def test_what_sending_needs_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynetdicom.ae", None)
    peers = (Peer("PACS", "127.0.0.1", 1),)
    with pytest.raises(ServerError, match=r"needs pynetdicom, .* pip install 'knerve\[server\]'"):
        Services(desk.spool, replace(SETTINGS, peers=peers))
    with pytest.raises(
        ServerError, match=r"DICOM takes no 'A.*' as a title; give at most 16 characters with --ae-title"
    ):
        Services(desk.spool, replace(SETTINGS, peers=peers, our_title="A" * 17))
