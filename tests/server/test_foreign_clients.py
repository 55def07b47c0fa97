"""Scans and clients of other programs: the right number and size of images, like the truth."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

from knerve.server.desk import Desk
from knerve.server.listener import Listener

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SMALL = 96


@pytest.fixture(scope="module")
def foreign() -> Iterator[ModuleType]:
    if shutil.which("ismrmrd_generate_cartesian_shepp_logan") is None:
        pytest.skip("ismrmrd_generate_cartesian_shepp_logan is not installed (Debian: ismrmrd-tools)")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("foreign_clients")


@pytest.fixture
def port(desk: Desk) -> Iterator[int]:
    with closing(Listener(desk, port=0)) as listener:
        Thread(target=listener.serve, daemon=True).start()
        yield listener.port


def test_the_serializer_of_ismrmrd_python_gets_every_image(foreign: ModuleType, port: int, tmp_path: Path) -> None:
    rows = list(foreign.rows(port, tmp_path, ["ismrmrd-python"], SMALL))
    assert [(row.scan, row.images) for row in rows] == [("full", 1), ("-a 2 -w 16 -C", 2), ("-r 3", 3), ("-k", 1)]
    assert [row.size for row in rows] == [(SMALL, SMALL)] * 4
    assert min(row.least_correlation for row in rows) > 0.99
    assert all(row.holds for row in rows)


def test_the_streams_of_mrd_python_get_every_image(foreign: ModuleType, port: int, tmp_path: Path) -> None:
    pytest.importorskip("mrd", reason="mrd-python is not installed (pip install mrd-python)")
    rows = list(foreign.rows(port, tmp_path, ["mrd-python (version 2)"], SMALL))
    assert [row.images for row in rows] == [1, 2, 3, 1]
    assert all(row.holds for row in rows)


def test_replay_gets_every_image(foreign: ModuleType, port: int, tmp_path: Path) -> None:
    raw = foreign.generate(tmp_path, ("-a", "2", "-w", "16", "-C"), SMALL)
    images = foreign.by_replay(port, raw)
    assert len(images) == 2
    assert min(foreign.correlation(image, foreign.truth_of(raw)) for image in images) > 0.99


def test_wrong_images_are_noticed(foreign: ModuleType, tmp_path: Path) -> None:
    truth = foreign.truth_of(foreign.generate(tmp_path, (), SMALL))
    assert foreign.correlation(truth, truth) == pytest.approx(1)
    assert foreign.correlation(truth.T, truth) < 0.99
    assert foreign.correlation(truth[:-1], truth) == 0
