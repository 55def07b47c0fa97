"""`knerve simulate`: a raw file with its truth, at the place that was asked for; clear words when it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from knerve.datasets.knee import digital_knee
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.datasets.slice_stack import slice_stack
from knerve.sequences.protocol import Protocol
from knerve.simulate_command import centred_at, nerves_by_slice, target_mm


@pytest.fixture
def coarse(tmp_path: Path) -> Path:
    """The navigating protocol with large pixels, as a file of the user's own."""
    preset = resources.files("knerve.sequences").joinpath("presets/navigate.toml").read_text(encoding="utf-8")
    path = tmp_path / "coarse.toml"
    path.write_text(preset.replace("read_mm = 0.29", "read_mm = 0.87").replace("phase_mm = 0.33", "phase_mm = 0.66"))
    return path


@pytest.mark.slow
def test_writes_a_raw_file_with_its_truth(knerve: Callable[..., Any], coarse: Path, tmp_path: Path) -> None:
    raw = tmp_path / "knee.h5"
    options = ("--slices", "1", "--coils", "8", "--json")
    code, out, err = knerve("simulate", coarse, "--out", raw, "--at", "tibial", *options)
    assert code == 0, err
    document = json.loads(out)
    assert document["coils"] == 8
    assert document["slices"] == 1
    assert document["nerves"]["tibial"] == [0]
    assert "not a medical device" in document["research_use"]
    with h5py.File(tmp_path / "knee-truth.h5") as truth:
        assert truth["image/snr"].shape[0] == 1
    code, out, err = knerve("info", raw, "--json")
    assert code == 0, err
    code, _, err = knerve("simulate", coarse, "--out", raw, "--scene", "needle", *options)
    assert code == 0, f"a simulated file may be simulated again: {err}"
    with h5py.File(tmp_path / "knee-truth.h5") as truth:
        tissues = truth["labels"].attrs["tissues"].tolist()
        assert (truth["labels"][...] == 1 + tissues.index("signal_void")).any(), "the needle gives no signal"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("navigate", "--out", "no/such/knee.h5"), "there is no folder"),
        (("navigate", "--out", "knee.mat"), "--out writes ISMRMRD, not 'knee.mat'"),
        (("navigat", "--out", "knee.h5"), "navigat"),
        (("navigate", "--out", "knee.h5", "--at", "sciatic"), "sciatic"),
        (("navigate", "--out", "knee.h5", "--scene", "scalpel"), "scalpel"),
        (("navigate", "--out", "knee.h5", "--coils", "64"), "less than or equal to 32"),
        (("navigate", "--out", "knee.h5", "--snr", "-3"), "muscle_snr is -3"),
        (("navigate", "--out", "taken.h5"), "has no truth beside it"),
    ],
)
def test_says_what_is_wrong_before_any_work(
    arguments: tuple[str, ...],
    words: str,
    knerve: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken.h5").write_bytes(b"somebody's scan")
    code, out, err = knerve("simulate", *arguments)
    assert code != 0
    assert words in " ".join((out + err).split())
    assert Path("taken.h5").read_bytes() == b"somebody's scan"
    assert not Path("knee.h5").exists()


def test_a_stack_is_moved_along_its_normal_to_the_nerve() -> None:
    knee, protocol = digital_knee(0), Protocol.load("navigate")
    for nerve in ("inferior-lateral", "saphenous"):
        settings = centred_at(knee, nerve, protocol, SimulationSettings(orientation="coronal"))
        assert settings.centre_mm is not None
        plane = slice_stack(protocol, settings.centre_mm, "coronal", settings.tilt_deg)[0]
        moved = np.array(settings.centre_mm) - knee.position_mm
        np.testing.assert_allclose(np.cross(moved, plane.normal), 0, atol=1e-9)
        assert np.dot(target_mm(knee, nerve) - np.array(settings.centre_mm), plane.normal) == pytest.approx(0, abs=1e-9)


def test_a_nerve_is_in_those_slices_that_show_a_quarter_of_a_pixel_of_it(tmp_path: Path) -> None:
    path = tmp_path / "truth.h5"
    with h5py.File(path, "w") as file:
        mask = file.create_dataset("nerves/one/mask", data=np.zeros((3, 4, 4), np.uint8))
        mask.attrs["steps"] = 200
        mask[0, 1, 1], mask[2, 1, 1] = 49, 50
    assert nerves_by_slice(path) == {"one": [2]}
