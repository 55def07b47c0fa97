"""Processes that reconstruct: they do their job, and dying is their own affair."""

from __future__ import annotations

import sys
from contextlib import closing

import pytest

from knerve.server.desk import Desk
from knerve.server.errors import StoppedError, WorkerError
from knerve.server.job import Job
from knerve.server.journal import JournalWriter
from knerve.server.messages import Image, Message, Text
from knerve.server.wire import decode, encode
from knerve.server.workers import Workers

JOB = Job("nowhere", "default", wants_images=True)


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "import os, sys, time\nsys.stdin.readline()\n" + code)


DEATHS = {
    "os.kill(os.getpid(), 11)": r"was ended by signal SIGSEGV\. The raw data are kept",
    "os.kill(os.getpid(), 9)": r"was ended by signal SIGKILL \(out of memory\?\)",
    "raise MemoryError": r"ended with code 1; its last words: MemoryError",
    "os.write(1, bytes([5, 0, 9]))": r"ended with code 0",
    "os.write(1, bytes([99, 99])); time.sleep(60)": "sent what is no answer",
    "time.sleep(60)": r"was not done within 0\.5 s and was given up",
}


@pytest.mark.parametrize("code", DEATHS)
def test_every_death_is_told(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knerve.server.workers.COMMAND", _python(code))
    monkeypatch.setattr("knerve.server.workers.LONGEST_DEATH_S", 0.1)
    longest_s = 0.5 if code == "time.sleep(60)" else 20.0
    with closing(Workers(1, longest_s)) as workers, pytest.raises(WorkerError, match=DEATHS[code]):
        list(workers.run(JOB))


def test_a_dead_worker_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "os.write(1, bytes([5, 0, 1, 0, 0, 0, 65, 4, 0])); time.sleep(60)"
    monkeypatch.setattr("knerve.server.workers.COMMAND", _python("sys.exit(3)"))
    with closing(Workers(1)) as workers:
        monkeypatch.setattr("knerve.server.workers.COMMAND", _python(answer))
        with pytest.raises(WorkerError, match="ended with code 3"):
            list(workers.run(JOB))
        assert [decode(frame) for frame in workers.run(JOB)] == [Text("A")]


def test_a_job_that_nobody_listens_to_ends_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "knerve.server.workers.COMMAND", _python("os.write(1, bytes([5, 0, 1, 0, 0, 0, 65]))\ntime.sleep(60)")
    )
    with closing(Workers(1)) as workers:
        for _ in range(2):
            answer = workers.run(JOB)
            assert decode(next(answer)) == Text("A")
            answer.close()


def test_stopping_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "knerve.server.workers.COMMAND", _python("os.write(1, bytes([5, 0, 1, 0, 0, 0, 65]))\ntime.sleep(60)")
    )
    workers = Workers(1)
    answer = workers.run(JOB)
    next(answer)
    workers.close()
    with pytest.raises(StoppedError, match="goes on with the raw data when it starts again"):
        next(answer)


def test_a_real_worker_reconstructs_and_survives_refusals(desk: Desk, scan: list[Message]) -> None:
    whole, broken = desk.spool.new_session(), desk.spool.new_session()
    for folder, messages in ((whole, scan), (broken, scan[:10])):
        with JournalWriter(folder.journal) as journal:
            for message in messages:
                journal.append(encode(message))
    with closing(Workers(1)) as workers:
        (refusal,) = map(decode, workers.run(Job(str(broken.path), "zero-filled", wants_images=True)))
        assert isinstance(refusal, Text)
        assert refusal.text.startswith("ERROR    None of the 8 readouts holds image data")
        answer = [decode(frame) for frame in workers.run(Job(str(whole.path), "zero-filled", wants_images=True))]
    assert [type(message) for message in answer[-2:]] == [Image, Image]
    assert whole.raw.is_file()
    assert whole.images.is_file()


def test_a_worker_that_died_while_it_waited_costs_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "os.write(1, bytes([5, 0, 1, 0, 0, 0, 65, 4, 0])); time.sleep(60)"
    monkeypatch.setattr("knerve.server.workers.COMMAND", (sys.executable, "-c", ""))
    with closing(Workers(2)) as workers:
        monkeypatch.setattr("knerve.server.workers.COMMAND", _python(answer))
        for worker in workers._all:
            worker._process.wait()
        first = workers.run(JOB)
        assert decode(next(first)) == Text("A")
        heard = []
        companion = workers.read_along(JOB, heard.append)  # the other one, as the first is busy
        assert companion is not None
        companion.finish(is_complete=True)
        assert [decode(frame) for frame in heard] == [Text("A")]
        assert list(first) == []


def test_scan_after_scan_goes_to_the_process_that_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "while True:\n    os.write(1, bytes([5, 0, 1, 0, 0, 0, 65, 4, 0])); sys.stdin.readline()"
    monkeypatch.setattr("knerve.server.workers.COMMAND", _python(answer))
    with closing(Workers(3)) as workers:
        used = []
        monkeypatch.setattr(workers, "_revive", used.append)
        for _ in range(3):
            assert [decode(frame) for frame in workers.run(JOB)] == [Text("A")]
    assert used == [used[0]] * 3
