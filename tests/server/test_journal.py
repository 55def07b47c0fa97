"""The journal: cut or damaged at any byte, it gives every whole message before; it becomes a standard file."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from knerve.datasets.mrd_file import read_mrd
from knerve.datasets.reading import read_raw
from knerve.recon.errors import RawDataError
from knerve.server.errors import SpoolError
from knerve.server.framing import Frame
from knerve.server.journal import FIRST_LINE, JournalReader, JournalWriter
from knerve.server.messages import Acquisition, Close, ConfigFile, Header, Message, Text
from knerve.server.raw_file import write_raw_file
from knerve.server.wire import encode

FRAMES = [encode(message) for message in (Text("one"), Text(""), Text("three" * 9), Close())]


def _written(path: Path, frames: list[Frame]) -> Path:
    with JournalWriter(path) as journal:
        for frame in frames:
            journal.append(frame)
    return path


def _ends(frames: list[Frame]) -> list[int]:
    """Where each record ends."""
    return [len(FIRST_LINE) + int(end) for end in np.cumsum([8 + len(frame.raw) for frame in frames])]


def test_messages_come_back(tmp_path: Path) -> None:
    reader = JournalReader(_written(tmp_path / "j", FRAMES))
    assert list(reader) == FRAMES
    assert reader.damage == ""
    assert (tmp_path / "j").stat().st_mode & 0o077 == 0


def test_cut_anywhere_it_gives_every_whole_message(tmp_path: Path) -> None:
    whole = _written(tmp_path / "j", FRAMES).read_bytes()
    ends = _ends(FRAMES)
    assert ends[-1] == len(whole)
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        reader = JournalReader(tmp_path / "cut")
        assert list(reader) == FRAMES[: sum(end <= length for end in ends)]
        assert bool(reader.damage) == (length not in [len(FIRST_LINE), *ends])


def test_damaged_anywhere_it_gives_every_message_before(tmp_path: Path) -> None:
    whole = _written(tmp_path / "j", FRAMES).read_bytes()
    ends = _ends(FRAMES)
    for place in range(len(whole)):
        for change in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= change
            (tmp_path / "damaged").write_bytes(damaged)
            reader = JournalReader(tmp_path / "damaged")
            n_before = sum(end <= place for end in ends) if place >= len(FIRST_LINE) else 0
            assert list(reader) == FRAMES[:n_before], place
            assert reader.damage


def test_zeros_behind_a_lost_tail_are_no_messages(tmp_path: Path) -> None:
    path = _written(tmp_path / "j", FRAMES)
    path.write_bytes(path.read_bytes() + bytes(4096))
    reader = JournalReader(path)
    assert list(reader) == FRAMES
    assert "damaged" in reader.damage


def test_it_is_synced_at_least_every_64_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    with JournalWriter(tmp_path / "j") as journal:
        real = os.fsync
        monkeypatch.setattr("os.fsync", lambda file: (synced.append(os.fstat(file).st_size), real(file)))
        for _ in range(200):
            journal.append(FRAMES[0])
        assert len(synced) == 3
        journal.append(encode(Header(b"<x/>")))
        assert synced[-1] == (tmp_path / "j").stat().st_size
    monkeypatch.undo()


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalWriter(tmp_path / "j")
    with journal:
        journal.append(FRAMES[0])
        real, room = os.write, 3

        def write(file: int, content: memoryview) -> int:
            nonlocal room
            if not room:
                raise OSError(28, "No space left on device")
            room, written = 0, real(file, content[:room])
            return written

        monkeypatch.setattr("os.write", write)
        with pytest.raises(
            SpoolError, match=r"cannot be written on \(No space left on device\); what came before is kept"
        ):
            journal.append(FRAMES[2])
        monkeypatch.undo()
    reader = JournalReader(tmp_path / "j")
    assert list(reader) == FRAMES[:1]
    assert reader.damage


def test_recon_says_what_to_do_with_one(tmp_path: Path) -> None:
    with pytest.raises(RawDataError, match=r"is a journal of knerve serve: read raw\.h5 beside it"):
        read_raw(_written(tmp_path / "stream.journal", FRAMES))


def test_a_journal_is_never_overwritten(tmp_path: Path) -> None:
    _written(tmp_path / "j", FRAMES)
    with pytest.raises(SpoolError, match="No journal can be started"):
        JournalWriter(tmp_path / "j")
    with pytest.raises(SpoolError, match="nothing cannot be read"):
        list(JournalReader(tmp_path / "nothing"))


def test_it_becomes_the_same_raw_file(tmp_path: Path, raw_file: Path, scan: list[Message]) -> None:
    journal = _written(tmp_path / "j", [encode(message) for message in scan])
    summary = write_raw_file(journal, tmp_path / "raw.h5")
    assert (summary.n_readouts, summary.is_closed, summary.damage) == (len(scan) - 3, True, "")
    with h5py.File(raw_file) as theirs, h5py.File(tmp_path / "raw.h5") as ours:
        assert ours["dataset/xml"][0] == theirs["dataset/xml"][0]
        for our, their in zip(ours["dataset/data"], theirs["dataset/data"], strict=True):
            assert our["head"] == their["head"]
            np.testing.assert_array_equal(our["data"], their["data"])
    np.testing.assert_array_equal(read_mrd(tmp_path / "raw.h5").kspace, read_mrd(raw_file).kspace)


def test_readouts_of_changing_size_and_trajectory_are_written(tmp_path: Path, scan: list[Message]) -> None:
    config, header, first, *_ = scan
    assert isinstance(first, Acquisition)
    short = Acquisition(first.head, np.ones((8, 2), np.float32), first.samples[:2, :8])
    journal = _written(tmp_path / "j", [encode(m) for m in (config, header, first, short, first)])
    assert not write_raw_file(journal, tmp_path / "raw.h5").is_closed
    with h5py.File(tmp_path / "raw.h5") as file:
        heads = file["dataset/data"]["head"]
        assert heads["number_of_samples"].tolist() == [first.samples.shape[1], 8, first.samples.shape[1]]
        assert heads["trajectory_dimensions"].tolist() == [0, 0, 0]
        np.testing.assert_array_equal(file["dataset/data"][1]["data"], short.samples.ravel().view(np.float32))


def test_a_readout_that_contradicts_itself_is_left_out(tmp_path: Path, scan: list[Message]) -> None:
    frames = [encode(message) for message in scan[:4]]
    head = bytearray(frames[2].content[:340])
    head[2:10] = (1 << 53).to_bytes(8, "little")
    broken = Frame(frames[2].kind, bytes(head) + b"\x03\0\0\0abc")
    summary = write_raw_file(_written(tmp_path / "j", [*frames, broken]), tmp_path / "raw.h5")
    assert (summary.n_readouts, summary.n_broken) == (2, 1)
    with h5py.File(tmp_path / "raw.h5") as file:
        assert len(file["dataset/data"]) == 2


def test_readouts_without_header_and_no_readouts(tmp_path: Path, scan: list[Message]) -> None:
    orphans = _written(tmp_path / "orphans", [encode(message) for message in (scan[0], scan[2], Close())])
    with pytest.raises(RawDataError, match="1 readouts but no header"):
        write_raw_file(orphans, tmp_path / "raw.h5")
    empty = _written(tmp_path / "empty", [encode(message) for message in (ConfigFile("cs"), Header(b"<x/>"))])
    assert write_raw_file(empty, tmp_path / "raw.h5").n_readouts == 0
    assert not (tmp_path / "raw.h5").exists()
