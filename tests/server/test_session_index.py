"""The index follows the records of sessions, and is what the folders say whatever happened to it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from knerve.server.desk import Desk
from knerve.server.messages import Message
from knerve.server.session_index import FILE_NAME, SessionIndex
from knerve.server.spool import SessionFolder, SessionRecord, Spool

STARTED = "2026-11-21T12:00:00Z"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path / "spool")) as spool:
        yield spool


def _session(spool: Spool, state: str = "done", content: bytes = b"raw") -> SessionFolder:
    folder = spool.new_session()
    folder.write(SessionRecord("receiving", STARTED))
    folder.raw.write_bytes(content)
    folder.write(SessionRecord(state, STARTED, "cs", "M1", n_readouts=7, n_images=2))
    return folder


def test_it_follows_every_record(spool: Spool) -> None:
    with closing(SessionIndex(spool)) as index:
        folder = _session(spool, content=bytes(1000))
        (row,) = index.rows()
        assert row.session == folder.name
        assert (row.state, row.measurement_id, row.pipeline, row.n_readouts, row.n_images) == ("done", "M1", "cs", 7, 2)
        assert row.started == STARTED
        assert row.ended > STARTED[:4]
        assert row.n_bytes == folder.n_bytes() >= 1000
        assert index.n_bytes() == row.n_bytes
        _session(spool, "receiving")
        assert index.by_state() == {"done": 1, "receiving": 1}
        folder.remove()
        assert index.by_state() == {"receiving": 1}
        assert not folder.path.exists()


@pytest.mark.parametrize("content", [None, b"", b"no database, " * 100])
def test_it_is_made_anew_from_the_folders(
    spool: Spool, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = [_session(spool) for _ in range(3)]
    if content is not None:
        (spool.path / FILE_NAME).write_bytes(content)
    with closing(SessionIndex(spool)) as index:
        assert sorted(row.session for row in index.rows()) == sorted(folder.name for folder in sessions)
    assert ("is made anew" in caplog.text) == (content not in (None, b""))


def test_a_full_disk_keeps_it_in_memory(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def connect(path: Path | str, **options: object) -> sqlite3.Connection:
        if path != ":memory:":
            raise sqlite3.OperationalError("database or disk is full")
        return real(path, **options)

    real = sqlite3.connect
    folder = _session(spool)
    monkeypatch.setattr(sqlite3, "connect", connect)
    with closing(SessionIndex(spool)) as index:
        assert [row.session for row in index.rows()] == [folder.name]
    assert "is kept in memory: database or disk is full" in caplog.text


def test_a_start_takes_over_what_changed_meanwhile(spool: Spool) -> None:
    with closing(SessionIndex(spool)):
        gone, open_one = _session(spool), _session(spool, "reconstructing")
    spool.observers.after.clear()
    gone.remove()
    open_one.write(SessionRecord("failed", STARTED, n_readouts=9))
    with closing(SessionIndex(spool)) as index:
        assert [(row.session, row.state, row.n_readouts) for row in index.rows()] == [(open_one.name, "failed", 9)]


def test_an_index_that_fails_stops_no_scan(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    index = SessionIndex(spool)
    index.close()
    with caplog.at_level(logging.WARNING):
        folder = _session(spool)
    assert folder.read().state == "done"
    assert "the index of the spool was not written" in caplog.text
    assert index.rows() == []


def test_a_session_that_leaves_nothing_leaves_no_row(desk: Desk, ask, scan: list[Message]) -> None:
    with closing(SessionIndex(desk.spool)) as index:
        ask(scan[0], scan[1])
        assert index.rows() == []
        ask(*scan)
        (row,) = index.rows()
        assert (row.state, row.n_readouts, row.n_images, row.measurement_id) == ("done", len(scan) - 3, 2, "demo_0")


def test_records_of_older_versions_are_read(spool: Spool) -> None:
    folder = spool.new_session()
    (folder.path / "session.json").write_text(
        '{"state": "done", "started": "2026", "pipeline": "cs", "measurement_id": "", "n_readouts": 3, "words": ""}'
    )
    assert folder.read() == SessionRecord("done", "2026", "cs", n_readouts=3)
