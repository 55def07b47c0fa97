"""The benchmark's processes: workers that crash or hang, turns, memory, the machine, room for the data."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from knerve.bench import workspace as workspace_module
from knerve.bench.case_files import CaseFiles
from knerve.bench.cases import Case
from knerve.bench.child_process import run_child
from knerve.bench.errors import MethodFailedError
from knerve.bench.machine import commit, machine_facts
from knerve.bench.methods import Setting
from knerve.bench.output import BenchFolder
from knerve.bench.rounds import in_turns
from knerve.bench.score import Score
from knerve.bench.worker_process import WorkerProcess
from knerve.bench.workspace import workspace
from knerve.recon.errors import OutputError

DOUBLES = '''
"""Test doubles: methods that behave as a test wants."""
import os, subprocess, sys, time
import numpy as np
from knerve.bench.methods import Measured, Method, Search

class Double:
    def __init__(self, files, n_threads):
        self.files, self.n_threads, self.n_runs = files, n_threads, 0
    def run(self, setting):
        print("a library talks")
        self.n_runs += 1
        with open(self.files.folder / "order.txt", "a") as order:
            order.write(type(self).__name__ + "\\n")
        self.act(setting)
        told = {"threads": self.n_threads, "OMP": float(os.environ["OMP_NUM_THREADS"]),
                "word": float(os.environ.get("DOUBLE_WORD", 0)), "run": self.n_runs}
        weight = -1 if setting is None else setting.weight
        return np.full((3, 2), weight, np.float32), Measured(0.5, 0.25, told, None)
    def curve(self, weight, iterations):
        return np.stack([np.full((3, 2), weight * n, np.float32) for n in iterations])
    def act(self, setting):
        pass

class Crash(Double):
    def act(self, setting):
        if self.n_runs > 1:
            raise RuntimeError("the third coil is missing")

class Hang(Double):
    def act(self, setting):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (self.files.folder / "child.txt").write_text(str(child.pid))
        time.sleep(60)

def method(kind):
    return Method(name=kind.__name__.lower(), home=__name__, label=kind.__name__, counted="nothing", start=kind,
                  missing=lambda: None, version=lambda: "double 1", environment={"DOUBLE_WORD": "7"},
                  search=Search("double", 1.0))

METHODS = tuple(map(method, (Double, Crash, Hang)))
'''


PEAKS = """
from knerve.bench.peak_memory import peak_bytes, start_peak
block = bytearray(b"1") * 320_000_000
del block
start_peak()
print(peak_bytes())
block = bytearray(b"1") * 160_000_000
print(peak_bytes())
"""


@pytest.fixture
def doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of test doubles, which workers find too."""
    folder = tmp_path / "doubles"
    folder.mkdir()
    (folder / "bench_doubles.py").write_text(DOUBLES)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("bench_doubles")
    del sys.modules["bench_doubles"]


@pytest.fixture
def files(tmp_path: Path) -> CaseFiles:
    folder = tmp_path / "case"
    folder.mkdir()
    files = CaseFiles(folder, Case("tiny", n_lines=2, n_calibration=2, n_phase_encodes=3, n_readout=2, n_coils=1))
    files.write(np.arange(6, dtype=np.complex64).reshape(1, 3, 2))
    return files


def test_a_worker_finds_the_case_again(files: CaseFiles) -> None:
    again = CaseFiles.open(files.folder)
    assert again == files
    assert np.array_equal(again.kspace(), files.kspace())
    assert again.digest() == files.digest()
    samples = np.fromfile(files.cfl.with_suffix(".cfl"), np.complex64)
    assert files.cfl.with_suffix(".hdr").read_text() == "# Dimensions\n2 3 1 1\n"
    assert np.array_equal(samples, np.arange(6)), "the readout is BART's fastest axis, and ours"


def test_a_worker_answers_with_the_right_threads_and_variables(doubles: ModuleType, files: CaseFiles) -> None:
    with WorkerProcess(doubles.METHODS[0], files, n_threads=3) as worker:
        image, measured = worker.run(Setting(0.5, 10))
        assert np.array_equal(image, np.full((3, 2), 0.5))
        assert measured.seconds == 0.5
        assert measured.stages == {"threads": 3, "OMP": 3, "word": 7, "run": 1}
        assert worker.run(None)[1].stages["run"] == 2, "the process stays warm"
        assert worker.curve(2.0, [1, 4])[:, 0, 0].tolist() == [2, 8]
        process = worker._process
    assert process.returncode is not None


def test_the_last_words_of_a_crashed_worker_are_told(doubles: ModuleType, files: CaseFiles) -> None:
    with WorkerProcess(doubles.METHODS[1], files, n_threads=1) as worker:
        worker.run(None)
        with pytest.raises(MethodFailedError, match="its process ended: RuntimeError: the third coil is missing"):
            worker.run(None)


def test_a_worker_that_others_end_is_told_and_left_behind(doubles: ModuleType, files: CaseFiles) -> None:
    with WorkerProcess(doubles.METHODS[0], files, n_threads=1) as worker:
        worker.run(None)
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.wait()
        with pytest.raises(MethodFailedError, match=r"ended from outside \(SIGKILL\)"):
            worker.run(None)


def test_a_worker_that_hangs_is_ended_with_its_children(doubles: ModuleType, files: CaseFiles) -> None:
    started = time.monotonic()
    with (
        WorkerProcess(doubles.METHODS[2], files, n_threads=1, longest_answer_s=2.0) as worker,
        pytest.raises(MethodFailedError, match="did not answer within 2 s"),
    ):
        worker.run(None)
    assert time.monotonic() - started < 30
    status = Path(f"/proc/{(files.folder / 'child.txt').read_text()}/status")
    while status.exists() and "State:\tZ" not in status.read_text():
        assert time.monotonic() - started < 30, "its child lives on"
        time.sleep(0.05)


def test_all_methods_take_turns_and_a_failing_one_is_left_out(doubles: ModuleType, files: CaseFiles) -> None:
    double, crash, _ = doubles.METHODS
    said: list[str] = []
    with WorkerProcess(double, files, 1) as first, WorkerProcess(crash, files, 1) as second:
        settings = {"double": Setting(0.5, 10), "crash": None}
        turns = in_turns(
            [first, second], settings, lambda _image: Score(0.1, 0.9), n_rounds=3, cap_s=100, say=said.append
        )
    order = (files.folder / "order.txt").read_text().split()
    assert order == ["Double", "Crash", "Double", "Crash", "Double", "Double"]
    assert [run.measured.stages["run"] for run in turns["double"].runs] == [2, 3, 4], "the warm-up does not count"
    assert turns["crash"].runs == []
    assert "crash: its process ended: RuntimeError: the third coil" in (turns["crash"].problem or "")
    assert said[0] == "Warm-up: double 0.50 s, crash 0.50 s"
    assert said[1].startswith("Round 1 of 3: double 0.50 s, crash failed: ")
    assert said[3] == "Round 3 of 3: double 0.50 s"


def test_a_slow_method_gets_no_more_than_its_cap(doubles: ModuleType, files: CaseFiles) -> None:
    with WorkerProcess(doubles.METHODS[0], files, 1) as worker:
        turns = in_turns(
            [worker], {"double": None}, lambda _image: Score(0.1, 0.9), n_rounds=4, cap_s=0.9, say=lambda _text: None
        )
    assert len(turns["double"].runs) == 2
    assert turns["double"].remark == "2 of 4 runs: those took longer than the cap of 0.9 s."


def test_a_bad_image_is_a_failure_of_its_method(doubles: ModuleType, files: CaseFiles) -> None:
    def refuse(_image: object) -> Score:
        raise MethodFailedError("its image is none.")

    with WorkerProcess(doubles.METHODS[0], files, 1) as worker:
        turns = in_turns([worker], {"double": None}, refuse, n_rounds=1, cap_s=1, say=lambda _text: None)
    assert turns["double"].problem == "double: its image is none."


def test_a_child_is_measured_and_its_error_told(tmp_path: Path) -> None:
    log = tmp_path / "words.txt"
    work = "import time; b = bytearray(150_000_000); t = time.process_time()\nwhile time.process_time() - t < 0.2: pass"
    child = run_child([sys.executable, "-c", work], os.environ, log)
    assert child.seconds >= 0.2
    assert child.cpu_seconds >= 0.2
    assert 150e6 < child.peak_bytes < 4e9
    with pytest.raises(MethodFailedError, match=r"ended with 3: no coils / at all"):
        run_child([sys.executable, "-c", "print('no coils\\n\\nat all'); exit(3)"], os.environ, log)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak since a moment")
def test_the_peak_is_that_since_the_start() -> None:
    alone = subprocess.run([sys.executable, "-P", "-c", PEAKS], capture_output=True, text=True, check=True)
    before, after = map(int, alone.stdout.split())
    assert 150e6 < after - before < 200e6, "the first block was freed before the start"


def test_the_machine_tells_its_facts() -> None:
    facts = machine_facts()
    assert facts.processor
    assert facts.cores >= 1
    assert facts.versions["torch"]
    assert facts.memory_bytes is None or facts.memory_bytes > 1e8
    json.dumps(facts.versions)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_marked_where_sources_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "__init__.py"
    source.write_text("a = 1\n")
    monkeypatch.setattr("knerve.__file__", str(source))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() is None, "no checkout"
    git = ("git", "-C", str(tmp_path), "-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run((*git, "init", "-q"), check=True)
    subprocess.run((*git, "commit", "-q", "--allow-empty", "-m", "empty"), check=True)
    assert commit() is None, "a checkout of something else"
    subprocess.run((*git, "add", "."), check=True)
    subprocess.run((*git, "commit", "-q", "-m", "first"), check=True)
    clean = commit()
    assert clean is not None
    assert len(clean) == 10
    source.write_text("a = 2\n")
    assert commit() == clean + "+"


def test_the_data_lie_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    free = {tmp_path / "ram": 1 << 20, tmp_path / "disk": 1 << 40}
    for folder in free:
        folder.mkdir()
    monkeypatch.setattr(workspace_module, "RAM_DISK", tmp_path / "ram")
    monkeypatch.setattr(workspace_module.tempfile, "tempdir", str(tmp_path / "disk"))
    monkeypatch.setattr(workspace_module.shutil, "disk_usage", lambda folder: usage(free[Path(folder)]))
    with workspace() as (folder, kind):
        assert kind == "disk"
        assert folder.parent == tmp_path / "disk"
    assert not folder.exists()
    free[tmp_path / "ram"] = 1 << 40
    with workspace() as (folder, kind):
        assert kind == "RAM disk"
        assert folder.parent == tmp_path / "ram"
    free.update(dict.fromkeys(free, 1 << 20))
    with pytest.raises(OutputError, match=r"need 500 MB, but .*disk has 1 MB free.*TMPDIR"), workspace():
        pass


def test_a_disk_that_fills_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_module, "RAM_DISK", tmp_path)
    with pytest.raises(OutputError, match="is full: the benchmark's data need 500 MB"), workspace():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_carries_on_what_was_there(tmp_path: Path) -> None:
    folder = BenchFolder(tmp_path / "out")
    assert (folder.report, folder.history, folder.figure) == ({}, "", b"")
    folder.report, folder.history, folder.figure = {"searches": {"R3/bart": 1}}, "line\n", b"png"
    folder.publish()
    again = BenchFolder(tmp_path / "out")
    assert (again.report, again.history, again.figure) == ({"searches": {"R3/bart": 1}}, "line\n", b"png")
    again.publish()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        BenchFolder(tmp_path / "out")
