"""Servers and workers that are killed, disks that fill up, many scans: smaller versions of `benchmarks/server_faults.py`."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def faults(rig: ModuleType) -> ModuleType:
    assert rig, "it makes its neighbours importable"
    return importlib.import_module("fault_crashes")


@pytest.fixture(scope="module")
def tiny(rig: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return rig.tiny_scan(tmp_path_factory.mktemp("raw") / "raw.h5")


def test_a_server_killed_anywhere_makes_the_image_at_its_next_start(
    faults: ModuleType, tiny: list[bytes], tmp_path: Path
) -> None:
    found = faults.killed_server(tmp_path, tiny, n_kills=1, seed=1)
    assert found.figures["messages_lost"] == 0
    assert found.holds, found


def test_a_full_disk_is_told_and_loses_nothing_that_was_kept(
    faults: ModuleType, tiny: list[bytes], tmp_path: Path
) -> None:
    found = faults.full_disk(tmp_path, tiny, (16, 100, 300, 600, 25_000))
    if found is None:
        pytest.skip("this user may not mount a small file system")
    assert found.figures["journals_unlike_the_scan"] == 0
    assert found.holds, found


def test_a_worker_that_dies_costs_no_image(faults: ModuleType, fault_server: Any, tiny: list[bytes]) -> None:
    found = faults.killed_workers(fault_server, tiny, places=("receiving", "out of memory"))
    assert found.holds, found


def test_scans_at_once_get_their_own_images(
    faults: ModuleType, rig: ModuleType, fault_server: Any, tiny: list[bytes], tmp_path: Path
) -> None:
    other = rig.tiny_scan(tmp_path / "other.h5", seed=1)
    found = faults.at_once(fault_server, [tiny, other] * 2)
    assert found.holds, found


def test_scans_leave_no_files_and_threads_open(faults: ModuleType, fault_server: Any, tiny: list[bytes]) -> None:
    found = faults.soak(fault_server, tiny, 15)  # too few for slopes
    assert found.figures["right"] == 15
    assert found.figures["descriptors_at_the_end"] < 25, found  # one a scan would be 15 more
    assert found.figures["threads_at_the_end"] < 12, found


def test_differences_and_growth_are_noticed(rig: ModuleType) -> None:
    image = np.ones((4, 4), np.float32)
    assert rig.largest_difference([image], [image]) == 0
    assert rig.largest_difference([image * 1.5], [image]) == pytest.approx(0.5)
    assert rig.largest_difference([image], [image, image]) == np.inf
    assert rig.slope_per_hundred([10, 11, 12], step=10) == pytest.approx(10)
