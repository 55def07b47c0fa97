"""Malformed streams, a few hundred of those of `benchmarks/malformed_streams.py`: words and CLOSE every time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "malformed_streams.py"


@pytest.fixture(scope="module")
def streams() -> ModuleType:
    spec = importlib.util.spec_from_file_location("malformed_streams", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_malformed_stream_gets_words_and_close(
    streams: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # nothing here needs to outlive a power cut
    found = dict(streams.complaints(range(300), tmp_path / "spool"))
    assert len(found) == 300
    assert {seed: words for seed, words in found.items() if words} == {}


def test_streams_are_malformed_in_many_ways_and_the_same_every_time(streams: ModuleType) -> None:
    made = [streams.malformed(seed) for seed in range(300)]
    assert made == [streams.malformed(seed) for seed in range(300)]
    valid = b"".join(frame.raw for frame in streams.valid_frames())
    assert sum(stream != valid for stream in made) > 270


def test_a_server_that_hangs_up_without_a_word_is_noticed(streams: ModuleType, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("knerve.server.session.Session.run", lambda _: None)
    ((_, words),) = streams.complaints(range(1), tmp_path / "spool")
    assert words == "no words"
