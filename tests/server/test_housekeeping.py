"""Only sessions that have ended ever leave the spool, the oldest first, and a full disk takes no scan."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import pytest

from knerve.server.desk import Desk
from knerve.server.errors import SpoolError
from knerve.server.housekeeping import GIB, Housekeeper, Keeping, expired, superfluous
from knerve.server.messages import Message, Text
from knerve.server.session_index import IndexedSession, SessionIndex
from knerve.server.spool import SessionFolder, SessionRecord, Spool

NO_RESERVE = Keeping(least_free_bytes=0)
Usage = namedtuple("Usage", ["total", "used", "free"])


def _row(name: str, ended: str = "", n_bytes: int = 10) -> IndexedSession:
    return IndexedSession(name, "done", "", ended, "", "cs", 1, 1, n_bytes)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path / "spool")) as spool:
        yield spool


@pytest.fixture
def index(spool: Spool) -> Iterator[SessionIndex]:
    with closing(SessionIndex(spool)) as index:
        yield index


def _session(spool: Spool, day: int, state: str = "done", n_bytes: int = 1000) -> SessionFolder:
    path = spool.path / f"202611{day:02d}T000000-0000000{day % 10}"
    path.mkdir()
    folder = SessionFolder(path, observers=spool.observers)
    folder.raw.write_bytes(bytes(n_bytes))
    folder.write(SessionRecord(state, f"2026-11-{day:02d}T00:00:00Z"))
    return folder


def _eventually(holds: Callable[[], bool]) -> bool:
    until = monotonic() + 5
    while not holds() and monotonic() < until:
        sleep(0.01)
    return holds()


def test_the_oldest_leave_until_the_quota_holds() -> None:
    rows = [_row("a"), _row("b"), _row("c")]
    assert superfluous(rows, Keeping(quota_bytes=25), 30) == rows[:1]
    assert superfluous(rows, Keeping(quota_bytes=10), 30) == rows[:2]
    assert superfluous(rows, Keeping(quota_bytes=30), 30) == []
    assert superfluous(rows, Keeping(quota_bytes=1), 100) == rows  # the rest may not leave
    assert superfluous(rows, Keeping(), 30) == []


def test_the_expired_leave() -> None:
    rows = [
        _row("a", "2026-11-01T00:00:00Z"),
        _row("b", "2026-11-09T23:59:59Z"),
        _row("c", "2026-11-10T00:00:01Z"),
        _row("d"),
    ]
    today = datetime(2026, 11, 20, tzinfo=UTC)
    assert expired(rows, Keeping(keep_days=10), today) == rows[:2]
    assert expired(rows, Keeping(), today) == []


def test_what_has_not_ended_or_is_held_stays(spool: Spool, index: SessionIndex) -> None:
    states = {1: "receiving", 2: "done", 3: "reconstructing", 4: "failed", 5: "done", 6: "incomplete"}
    folders = {day: _session(spool, day, state) for day, state in states.items()}
    with closing(
        Housekeeper(spool, index, replace(NO_RESERVE, quota_bytes=1), lambda name: name == folders[5].name)
    ) as housekeeper:
        housekeeper.tidy()
        assert [folder.name for folder in spool.sessions()] == [folders[day].name for day in (1, 3, 5)]
        assert housekeeper.removed.value("quota") == 3
        with pytest.raises(SpoolError, match=r"must be kept take .* more than the quota .* Raise --quota-gib"):
            spool.new_session()


def test_it_tidies_when_a_session_ends(spool: Spool, index: SessionIndex) -> None:
    with closing(Housekeeper(spool, index, replace(NO_RESERVE, quota_bytes=2500), lambda _: False)):
        folders = [_session(spool, day) for day in (1, 2, 3, 4)]
        assert _eventually(lambda: len(spool.sessions()) == 2)
        assert [folder.name for folder in spool.sessions()] == [folder.name for folder in folders[2:]]


def test_age_is_counted_from_the_end(spool: Spool) -> None:
    old, new = _session(spool, 1), _session(spool, 2)
    record = json.loads((old.path / "session.json").read_text()) | {"ended": "2020-01-01T00:00:00Z"}
    (old.path / "session.json").write_text(json.dumps(record))
    with (
        closing(SessionIndex(spool)) as fresh,
        closing(Housekeeper(spool, fresh, replace(NO_RESERVE, keep_days=30), lambda _: False)) as housekeeper,
    ):
        assert _eventually(lambda: not old.path.exists())
        assert _eventually(lambda: housekeeper.removed.value("age") == 1)
        assert new.path.exists()


def test_a_full_disk_refuses_sessions_in_words(
    ask, desk: Desk, scan: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [GIB // 2]
    monkeypatch.setattr("knerve.server.housekeeping.shutil.disk_usage", lambda _: Usage(4 * GIB, 0, free[0]))
    kept = _session(desk.spool, 1)
    with (
        closing(SessionIndex(desk.spool)) as index,
        closing(Housekeeper(desk.spool, index, Keeping(), lambda _: False)),
    ):
        answer = ask(*scan)
        assert isinstance(answer[0], Text)
        assert answer[0].text.startswith(
            "ERROR    The disk of the spool folder is full (0.50 GiB are free, 1.00 GiB are"
        )
        assert len(answer) == 2  # and CLOSE
        assert kept.raw.exists()
        assert desk.spool.sessions() == [kept]
        free[0] = 2 * GIB
        assert len(ask(*scan)) > 2


def test_a_removal_that_was_interrupted_is_completed(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as spool:
        folder = _session(spool, 1)
        folder.path.rename(spool.path / f".gone.{folder.name}")
    with closing(Spool(tmp_path / "spool")) as spool:
        assert spool.sessions() == []
        assert list(spool.path.glob(".gone*")) == []
