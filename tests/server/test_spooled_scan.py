"""A session's folder and its journal stand for a raw file; every other path for itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from knerve.datasets.reading import read_raw
from knerve.recon.errors import RawDataError
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings
from knerve.server.desk import Desk
from knerve.server.journal import JournalWriter
from knerve.server.messages import Message
from knerve.server.spool import SessionFolder, Spool
from knerve.server.spooled_scan import raw_file_of
from knerve.server.wire import encode


def _journalled(spool: Path, messages: list[Message]) -> SessionFolder:
    with closing(Spool(spool)) as kept:
        folder = kept.new_session()
        with JournalWriter(folder.journal) as journal:
            for message in messages:
                journal.append(encode(message))
    return folder


@pytest.mark.parametrize("name", ["", "stream.journal"])
def test_an_open_session_is_read_from_its_journal(
    tmp_path: Path, scan: list[Message], raw_file: Path, name: str
) -> None:
    folder = _journalled(tmp_path / "spool", scan[:-1])  # without its CLOSE
    with raw_file_of(folder.path / name) as raw:
        read = read_raw(raw)
    assert not raw.exists()
    assert not folder.raw.exists()  # what a server may be writing is left alone
    made = reconstruct(read, Settings(method="zero-filled")).magnitude.numpy()
    expected = reconstruct(read_raw(raw_file), Settings(method="zero-filled")).magnitude.numpy()
    np.testing.assert_array_equal(made, expected)


def test_a_session_that_has_ended_has_its_file(ask, desk: Desk, scan: list[Message]) -> None:
    ask(*scan)
    (folder,) = desk.spool.sessions()
    for path in (folder.path, folder.journal):
        with raw_file_of(path) as raw:
            assert raw == folder.raw
    with raw_file_of(folder.images) as other:
        assert other == folder.images


def test_other_paths_stand_for_themselves(tmp_path: Path, raw_file: Path) -> None:
    for path in (raw_file, tmp_path, tmp_path / "none.h5", raw_file.parent):
        with raw_file_of(path) as raw:
            assert raw == path


def test_a_journal_without_readouts_is_said(tmp_path: Path, scan: list[Message]) -> None:
    folder = _journalled(tmp_path / "spool", scan[:2])
    with (
        pytest.raises(RawDataError, match="holds no readouts; there is nothing to reconstruct"),
        raw_file_of(folder.path),
    ):
        pass
