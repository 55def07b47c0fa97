"""Clients that die, are silent, slow or deaf: smaller versions of `benchmarks/server_faults.py`."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def faults(rig: ModuleType) -> ModuleType:
    assert rig, "it makes its neighbours importable"
    return importlib.import_module("fault_clients")


@pytest.fixture(scope="module")
def tiny(rig: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return rig.tiny_scan(tmp_path_factory.mktemp("raw") / "raw.h5", "zero-filled")


def test_malformed_streams_do_not_grow_the_server(
    faults: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # nothing here needs to outlive a power cut
    found = faults.malformed(tmp_path, 200, first_seed=1_000_000)
    assert found.figures["complaints"] == {}
    assert found.figures["growth_mib"] < 50
    assert found.holds


def test_clients_killed_at_every_message_leave_their_readouts(
    faults: ModuleType, fault_server: Any, tiny: list[bytes]
) -> None:
    found = faults.killed_clients(fault_server, tiny)
    assert found.figures["deaths"] == 3 * len(tiny)
    assert found.holds, found


def test_a_crowd_does_not_keep_a_scan_out(faults: ModuleType, fault_server: Any, tiny: list[bytes]) -> None:
    found = faults.crowd(fault_server, tiny, n_bad=100, n_rounds=1, n_scans=2)
    assert found.figures["answered"] == 4, found  # the waits are for the benchmark, on a machine that does nothing else


def test_a_client_that_never_reads_is_given_up(faults: ModuleType, tiny: list[bytes], tmp_path: Path) -> None:
    found = faults.deaf(tmp_path, tiny, sending_s=1.0)
    assert found.holds, found
