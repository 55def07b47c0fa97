"""The parts between a server and the process that reads along: the growing journal, the bells, the process itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from knerve.recon.errors import OutOfMemoryError
from knerve.server.errors import WorkerError
from knerve.server.framing import Frame
from knerve.server.job import ALL, PREVIEW_SERIES, Job
from knerve.server.journal import JournalWriter
from knerve.server.messages import Message, Text
from knerve.server.spool import SessionFolder
from knerve.server.stream_job import read_along
from knerve.server.stream_journal import JournalTail
from knerve.server.wire import decode, encode
from knerve.server.workers import Companion, Workers

JOB = Job("nowhere", "default", wants_images=True, reads_along=True, sent=(2, 1), budget_s=1.5)
TEXT_A = r"os.write(1, bytes([5, 0, 1, 0, 0, 0, 65]))"
CLOSE = "os.write(1, bytes([4, 0]))"
HEAR = "heard = b''\nwhile not heard.endswith((b'!', b'x')):\n    heard += os.read(0, 1 << 16)\n"


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Companion]:
    """Let a process of this code read along; its stdin is not buffered, so that bells stay where they are."""
    open_workers = []

    def start(code: str, take: Callable[[Frame], None], longest_s: float = 20.0) -> Companion:
        start_up = "import os, sys, time\nwhile os.read(0, 1) != b'\\n': pass\n"
        monkeypatch.setattr("knerve.server.workers.COMMAND", (sys.executable, "-c", start_up + code))
        workers = Workers(1, longest_s)
        open_workers.append(workers)
        companion = workers.read_along(JOB, take)
        assert companion is not None
        assert workers.read_along(JOB, take) is None
        return companion

    yield start
    for workers in open_workers:
        workers.close()


def test_a_job_survives_its_line() -> None:
    assert Job.from_json(JOB.as_json()) == JOB
    assert PREVIEW_SERIES != 0


def test_a_growing_journal_gives_whole_messages_once(tmp_path: Path, scan: list[Message]) -> None:
    frames = [encode(message) for message in scan[:5]]
    path, half = tmp_path / "stream.journal", tmp_path / "half"
    with JournalWriter(path) as journal, JournalTail(path) as tail:
        assert list(tail.new_frames()) == []
        journal.append(frames[0])
        assert list(tail.new_frames()) == frames[:1]
        for frame in frames[1:]:
            journal.append(frame)
        assert list(tail.new_frames()) == frames[1:]
        assert list(tail.new_frames()) == []
    content = path.read_bytes()
    for n_bytes in range(len(content) - 100, len(content)):
        half.write_bytes(content[:n_bytes])
        with JournalTail(half) as tail:
            assert list(tail.new_frames()) == frames[:-1]
            half.write_bytes(content)
            assert list(tail.new_frames()) == frames[-1:]


def test_a_process_without_memory_ends_so_that_another_tries(
    tmp_path: Path, scan: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(*_: object) -> None:
        raise OutOfMemoryError("full")

    monkeypatch.setattr("knerve.server.stream_job.ArrivingScan.take", take)
    folder = SessionFolder(tmp_path)
    with JournalWriter(folder.journal) as journal:
        for message in scan:
            journal.append(encode(message))
    with pytest.raises(OutOfMemoryError):
        read_along(replace(JOB, folder=str(tmp_path)), lambda: ALL, lambda _: None)


def test_bells_come_through_and_answers_back(begin: Callable[..., Companion]) -> None:
    taken: list[Frame] = []
    companion = begin(HEAR + f"assert heard == b'...!'\n{TEXT_A}\n{CLOSE}\ntime.sleep(20)", taken.append)
    for _ in range(3):
        companion.ring()
    companion.finish(is_complete=True)
    assert [decode(frame) for frame in taken] == [Text("A")]
    companion.ring()  # to nobody


def test_ringing_never_waits(begin: Callable[..., Companion]) -> None:
    companion = begin("time.sleep(60)", lambda _: None, 0.2)
    started = time.monotonic()
    for _ in range(100_000):  # more than a pipe holds
        companion.ring()
    assert time.monotonic() - started < 5
    with pytest.raises(WorkerError, match=r"not done within 0\.2 s"):
        companion.finish(is_complete=False)


def test_deaths_are_told(begin: Callable[..., Companion]) -> None:
    taken: list[Frame] = []
    companion = begin(f"{TEXT_A}\nos.kill(os.getpid(), 11)", taken.append)
    for _ in range(100):
        companion.ring()
        time.sleep(0.005)
    with pytest.raises(WorkerError, match="was ended by signal SIGSEGV"):
        companion.finish(is_complete=True)
    assert len(taken) == 1


def test_silence_beyond_the_budget_is_given_up_but_not_work(begin: Callable[..., Companion]) -> None:
    companion = begin("time.sleep(60)", lambda _: None)
    with pytest.raises(WorkerError, match=r"not done within 0\.1 s"):
        companion.finish(is_complete=True, first_s=0.1)
    companion = begin(HEAR + f"{TEXT_A}\ntime.sleep(0.6)\n{CLOSE}\ntime.sleep(20)", lambda _: None)
    companion.finish(is_complete=True, first_s=0.4)


def test_a_dead_companion_leaves_a_process_for_the_next_job(monkeypatch: pytest.MonkeyPatch) -> None:
    dies = "import os; os.read(0, 1000); os._exit(3)"
    monkeypatch.setattr("knerve.server.workers.COMMAND", (sys.executable, "-c", dies))
    with closing(Workers(1)) as workers:
        answers = f"import os, time\nos.read(0, 1000)\n{TEXT_A}\n{CLOSE}\ntime.sleep(20)"
        monkeypatch.setattr("knerve.server.workers.COMMAND", (sys.executable, "-c", answers))
        companion = workers.read_along(JOB, lambda _: None)
        assert companion is not None
        with pytest.raises(WorkerError, match="ended with code 3"):
            companion.finish(is_complete=True)
        assert [decode(frame) for frame in workers.run(JOB)] == [Text("A")]
