"""The benchmark's methods on a tiny slice: the data they all get, the images they make of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from knerve.bench.case_files import CaseFiles
from knerve.bench.cases import Case
from knerve.bench.methods import SearchedRunner, Setting
from knerve.bench.peers import own, own_command
from knerve.bench.peers.in_memory import coil_images
from knerve.bench.preparation import prepare
from knerve.bench.registry import PEERS
from knerve.bench.score import nrmse, scaled_to
from knerve.bench.source import Truth
from knerve.bench.worker_process import WorkerProcess

TINY = Case("tiny", n_lines=48, n_calibration=24, n_phase_encodes=96, n_readout=80, n_coils=5, muscle_snr=13.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseFiles, Truth]:
    return prepare(TINY, tmp_path_factory.mktemp("tiny"))


def test_the_peers_data_are_whitened_centred_and_undersampled_as_said(tiny: tuple[CaseFiles, Truth]) -> None:
    files, truth = tiny
    kspace = files.kspace()
    assert kspace.shape == (5, 96, 80)
    assert kspace.dtype == np.complex64
    sampled = np.abs(kspace).sum((0, 2)) > 0
    assert sampled.sum() == 48
    assert sampled[36:60].all(), "calibration lines in the centre"
    assert truth.magnitude.shape == (96, 80)
    assert 0.3 < truth.inside.mean() < 0.8

    full, full_truth = full_scan(files)
    images = coil_images(full)
    combined = np.sqrt((np.abs(images) ** 2).sum(0)).astype(np.float32)
    assert nrmse(combined, full_truth) < 0.03, "the truth is what a full scan shows, in its place"
    assert np.sqrt(2) == pytest.approx(np.median(scaled_to(combined, full_truth) / combined), rel=0.02)
    air = images[:, :6, :6]
    covariance = np.einsum("cyx,dyx->cd", air, air.conj()) / air[0].size
    assert np.abs(covariance - np.eye(5)).max() < 0.6
    assert np.trace(covariance).real / 5 == pytest.approx(1, abs=0.2)


def full_scan(files: CaseFiles) -> tuple[np.ndarray[Any, Any], Truth]:
    folder = files.folder / "full"
    folder.mkdir()
    full, truth = prepare(replace(TINY, n_lines=96), folder)
    return full.kspace(), truth


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what the peers' own imports call is not ours to mend
@pytest.mark.parametrize("name", ["bart", "bart-cc8", "sigpy", "mrpro", "mirtorch", "deepinv"])
def test_every_peer_reconstructs_and_its_curve_is_its_run(name: str, tiny: tuple[CaseFiles, Truth]) -> None:
    peer = PEERS[name]
    reason = peer.missing()
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    files, truth = tiny
    runner = peer.start(files, 1)
    assert isinstance(runner, SearchedRunner)
    curve = runner.curve(0.002, [2, 20])
    assert curve.shape == (2, 96, 80)
    image, measured = runner.run(Setting(0.002, 20))
    assert image.shape == (96, 80)
    assert nrmse(image, truth) < 0.1
    assert nrmse(curve[0], truth) > nrmse(image, truth)
    # POGM's last step differs from those on its way
    assert np.abs(curve[1] - image).max() < (0.05 if name == "mirtorch" else 1e-4) * image.max()
    assert 0 < measured.seconds < 600
    assert "solve" in measured.stages
    assert measured.stages.get("calibration", 1) > 0
    assert peer.version().split()[-1].lstrip("v")[0].isdigit()


def test_our_warm_method_and_our_command_make_the_same_image(tiny: tuple[CaseFiles, Truth]) -> None:
    files, truth = tiny
    with WorkerProcess(own.METHODS[0], files, 1) as worker:
        warm, measured = worker.run(None)
    assert nrmse(warm, truth) < 0.06
    assert {"readout", "calibration", "compress", "solve"} <= set(measured.stages)
    assert sum(measured.stages.values()) == pytest.approx(measured.seconds, rel=0.3, abs=0.1)
    cold, whole = own_command.METHODS[0].start(files, 1).run(None)
    assert np.abs(cold - warm).max() < 1e-3 * warm.max()
    assert whole.seconds > whole.stages["solve"]
    assert sum(whole.stages.values()) == pytest.approx(whole.seconds)
    assert {"read", "noise map"} <= set(whole.stages)
    assert whole.peak_bytes is not None
    assert whole.peak_bytes > 1e8


def test_bart_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    assert PEERS["bart"].missing() == "no `bart` on PATH; on Debian: apt-get install bart"
