"""The GPU check: its guard, and a rehearsal of all of it on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from gpu_report import Report

    return Report(limit_s=100.0)


def test_a_part_that_fails_is_listed_and_the_others_go_on(report, tmp_path):
    report.folder = tmp_path
    with report.part("first"):
        raise RuntimeError("no such kernel")
    with report.part("second"):
        report.measured("something", 2e-3, floor_s=1e-3)
    assert not report.is_fine
    assert "FAILED   first: RuntimeError: no such kernel" in report.table()
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert document["rows"][0]["value"] == 2.0
    assert document["rows"][0]["floor"] == 1.0
    assert "no such kernel" in document["failures"]["first"]


def test_numbers_beyond_their_limit_are_not_fine(report):
    with report.part("a part"):
        report.found("small enough", 1e-4, "relative", limit=1e-3)
        assert report.is_fine
        report.found("not a number", float("nan"), "relative", limit=1e-3)
    assert not report.is_fine
    assert "TOO MUCH" in report.table()


def test_no_part_begins_when_the_time_is_over(report):
    report.limit_s = 0.0
    assert not report.has_time_for("planning")
    assert "skipped  planning" in report.table()


@pytest.mark.slow
def test_the_whole_check_can_be_rehearsed_on_a_cpu(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "gpu_check.py"), "--cpu", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    document = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert document["failures"] == {}
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert {"machine", "correct", "navigate", "stages", "stream", "planning"} <= set(document["seconds"])
    assert "all is well" in (tmp_path / "out" / "table.txt").read_text(encoding="utf-8")


def test_the_script_knows_when_there_is_no_gpu():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    command = [sys.executable, str(BENCHMARKS / "gpu_check.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--cpu rehearses on the CPU" in done.stderr
