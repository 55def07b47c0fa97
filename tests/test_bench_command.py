"""`knerve bench` from end to end on a tiny slice: what is written, what is told, how it fails."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from knerve.bench.cases import Case
from knerve.bench.methods import Method
from knerve.bench.options import BenchOptions
from knerve.bench.peers import own
from knerve.bench.run import run_bench
from knerve.terminal import Terminal

TINY = Case("tiny", n_lines=48, n_calibration=24, n_phase_encodes=96, n_readout=80, n_coils=5, muscle_snr=13.0)

DOUBLE = '''
"""A peer that is a test double: the root sum of squares of the zero-filled images, worse for any weight but 0.01."""
import numpy as np
from knerve.bench.methods import Measured, Method, Search
from knerve.bench.peers.in_memory import coil_images

class Double:
    def __init__(self, files, n_threads):
        self.image = np.sqrt((np.abs(coil_images(files.kspace())) ** 2).sum(0))
    def spoilt(self, weight, n):
        grain = np.random.default_rng(0).normal(size=self.image.shape) * self.image.mean()
        return (self.image + 0.1 * abs(np.log2(weight / 0.01)) * grain).astype(np.float32)
    def run(self, setting):
        stages = {"calibration": 1.5, "solve": 4.5}
        return self.spoilt(setting.weight, setting.iterations), Measured(6.0, 11.0, stages, 123_000_000)
    def curve(self, weight, iterations):
        return np.stack([self.spoilt(weight, n) for n in iterations])

class Broken(Double):
    def run(self, setting):
        return np.full_like(self.image, np.nan), Measured(6.0, 11.0, {}, None)

def method(kind, **more):
    return Method(name=kind.__name__.lower(), home=__name__, label=kind.__name__, counted="nothing real", start=kind,
                  version=lambda: "double 1", search=Search("double", 0.04), **{"missing": lambda: None} | more)

METHODS = tuple(map(method, (Double, Broken)))
ABSENT = method(type("Absent", (Double,), {}), missing=lambda: "not installed: ask the author")
'''


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    folder = tmp_path / "double"
    folder.mkdir()
    (folder / "bench_double.py").write_text(DOUBLE)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("bench_double")
    del sys.modules["bench_double"]


def options(double: ModuleType, *peers: Method, **more: Any) -> BenchOptions:
    mine = BenchOptions((TINY,), own.METHODS[:1], peers or double.METHODS[:1], n_runs=2, n_threads=1)
    return replace(mine, **more)


def read(out: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return document


def test_a_benchmark_writes_table_figure_report_and_history(
    double: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_bench(Terminal(as_json=False), out, options(double, double.METHODS[0], double.ABSENT))
    said = capsys.readouterr()
    assert "knerve cs" in said.out
    assert "6.00 (6.00-6.00)" in said.out
    assert "skipped: not installed: ask the author" in said.out
    assert "absent is skipped: not installed: ask the author" in said.err
    assert "double: weight 0.01, 3 iterations" in said.err
    assert "Round 2 of 2: knerve-cs" in said.err
    assert {file.name for file in out.iterdir()} == {"report.json", "bench.png", "history.jsonl"}
    report = read(out)
    assert report["files"] == ["bench.png", "history.jsonl", "report.json"]
    ours, theirs = report["cases"][0]["methods"]
    assert (len(ours["runs"]), len(theirs["runs"])) == (2, 2)
    assert ours["nrmse"] < theirs["nrmse"]
    assert theirs["times_reference"] == pytest.approx(6 / ours["seconds"]["median"])
    assert theirs["peak_bytes"] == 123_000_000
    assert report["cases"][0]["skipped"] == {"absent": "not installed: ask the author"}
    assert report["machine"]["versions"]["torch"]
    assert report["searches"]["tiny/double"]["chosen"]["weight"] == 0.01
    (entry,) = map(json.loads, (out / "history.jsonl").read_text().splitlines())
    assert entry["method"] == "knerve-cs"
    assert entry["seconds"]["whole slice"] == pytest.approx(ours["seconds"]["least"])


def test_a_rerun_reuses_searches_and_lengthens_the_history(
    double: ModuleType, tmp_path: Path, knerve: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    once = options(double, double.METHODS[0], own=double.METHODS[:1], n_runs=1)
    out = tmp_path / "out"
    double_as_ours = replace(double.METHODS[0], search=None, ours=True)
    assert not double_as_ours.search
    run_bench(Terminal(as_json=False), out, once)
    run_bench(Terminal(as_json=False), out, once)
    said = capsys.readouterr().err
    assert said.count("Searching the best setting") == 1
    assert "searched earlier" in said
    run_bench(Terminal(as_json=False), out, replace(once, search_again=True))
    assert "Searching the best setting" in capsys.readouterr().err

    (out / "history.jsonl").write_text("{}\n")
    damaged = knerve("bench", "--history", "--out", out)
    assert damaged.code == 1
    assert "Line 1 of history.jsonl is no line of our history" in damaged.err


def test_a_method_that_fails_is_told_and_the_others_go_on(
    double: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = options(double, *double.METHODS, own=double.METHODS[:1], n_runs=1, quick=True)
    assert not run_bench(Terminal(as_json=True), tmp_path / "out", quick)
    said = capsys.readouterr()
    document = json.loads(said.out)
    *_, good, broken = document["cases"][0]["methods"]
    assert good["problem"] is None
    assert broken["problem"] == "broken: its image holds NaN or infinite pixels."
    assert broken["runs"] == []
    assert "broken failed: its image holds NaN" in said.err


def test_the_command_passes_its_options_on(
    tmp_path: Path, knerve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Path, BenchOptions]] = []

    def take(_talk: Terminal, out: Path, chosen: BenchOptions) -> bool:
        seen.append((out, chosen))
        _talk.answer({}, "")
        return len(seen) == 1

    monkeypatch.setattr("knerve.bench.run.run_bench", take)
    line = "--case R6,small --peers bart,sigpy --runs 3 --threads 1 --cap 7 --quick --search-again"
    assert knerve("bench", *line.split(), "--out", tmp_path).code == 0
    ((out, chosen),) = seen
    assert out == tmp_path
    assert [case.name for case in chosen.cases] == ["R6", "small"]
    assert [peer.name for peer in chosen.peers] == ["bart", "sigpy"]
    assert [method.name for method in chosen.own][:2] == ["knerve-cs", "knerve-cs-map"]
    assert (chosen.n_runs, chosen.n_threads, chosen.cap_s, chosen.quick, chosen.search_again) == (3, 1, 7, True, True)
    assert knerve("bench", "--out", tmp_path).code == 1, "a method failed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--case", "R9"), "no case is called 'R9'; choose of R2, R3, R4, R6, small"),
        (("--peers", "matlab"), "no peer is called 'matlab'; choose of bart"),
        (("--runs", "0"), "--runs"),
        (("--threads", "0"), "--threads"),
    ],
)
def test_wrong_usage_is_exit_2(arguments: tuple[str, ...], words: str, knerve: Callable[..., Any]) -> None:
    run = knerve("bench", *arguments, "--json")
    assert run.code == 2
    message = json.loads(run.out)["error"]["message"]
    assert words in message


def test_without_a_history_there_is_nothing_to_show(tmp_path: Path, knerve: Callable[..., Any]) -> None:
    run = knerve("bench", "--history", "--out", tmp_path)
    assert run.code == 1
    assert "history.jsonl does not exist" in run.err


def test_files_of_others_are_refused_before_any_work(tmp_path: Path, knerve: Callable[..., Any]) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    run = knerve("bench", "--case", "small", "--out", tmp_path)
    assert run.code == 1
    assert "thesis.tex" in run.err
    assert "Simulating" not in run.err
