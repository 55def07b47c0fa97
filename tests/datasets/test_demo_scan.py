"""The demo scan: an exact count of lines, a true noise level, geometry and flags as a scanner sets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
import pytest
import torch

from knerve.datasets.demo_scan import readout_order, variable_density_lines, write_demo_scan
from knerve.datasets.simple_knee import SIGNAL, knee_section, render

MATRIX = (96, 80)


def write_small(path: Path, seed: int = 4, acceleration: float = 2.0, muscle_snr: float = 13.0) -> None:
    write_demo_scan(
        path,
        n_slices=3,
        seed=seed,
        matrix=MATRIX,
        acceleration=acceleration,
        n_calibration=16,
        n_coils=8,
        muscle_snr=muscle_snr,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.h5"
    write_small(path)
    return path


def read_records(path: Path) -> Any:
    with h5py.File(path) as file:
        return file["dataset/data"][:]


def samples(records: Any) -> Any:
    """All readouts, (readout, coil, sample)."""
    return np.stack(list(records["data"])).view(np.complex64).reshape(len(records), 8, 192)


@pytest.mark.parametrize(
    ("n_grid", "n_lines", "n_centre"), [(484, 162, 32), (484, 70, 24), (485, 162, 31), (80, 80, 16)]
)
def test_pattern_has_exactly_the_lines_asked_for(n_grid: int, n_lines: int, n_centre: int) -> None:
    for seed in range(20):
        lines = variable_density_lines(n_grid, n_lines, n_centre, torch.Generator().manual_seed(seed))
        assert len(set(lines.tolist())) == n_lines
        assert set(range(n_grid // 2 - n_centre // 2, n_grid // 2 + n_centre // 2)) <= set(lines.tolist())
        assert 0 <= int(lines.min()) <= int(lines.max()) < n_grid


def test_default_pattern_is_denser_inwards_without_large_gaps() -> None:
    lines = variable_density_lines(484, 162, 32, torch.Generator().manual_seed(0))
    inner, outer = ((lines - 242).abs() < 80).sum(), ((lines - 242).abs() >= 161).sum()
    assert int(inner) > 2 * int(outer)
    assert int(lines.diff().max()) <= 14


def test_every_echo_holds_one_band_and_slices_take_turns() -> None:
    order = readout_order(162, 3)
    assert len(order) == 3 * 162
    for s in range(3):
        mine = order[order[:, 0] == s]
        assert sorted(mine[:, 1]) == list(range(162))
        for shot in range(10):
            train = mine[mine[:, 3] == shot]
            assert list(train[:, 2]) == list(range(15))
            assert (np.diff(train[:, 1]) > 0).all()
    visited = order[:, 0][np.flatnonzero(np.diff(order[:, 0], prepend=-1))]
    assert list(visited[:6]) == [0, 2, 1, 0, 2, 1]
    centre = order[order[:, 1] == 81][0]
    assert centre[2] == 7  # the middle of 15 echoes: the effective echo time


def test_header_is_valid_for_the_ismrmrd_package(demo: Path) -> None:
    with ismrmrd.Dataset(str(demo), "dataset", create_if_needed=False) as dataset:
        header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
    encoding = header.encoding[0]
    assert (encoding.encodedSpace.matrixSize.x, encoding.encodedSpace.matrixSize.y) == (192, 80)
    assert encoding.encodedSpace.fieldOfView_mm.x == 320
    assert encoding.reconSpace.fieldOfView_mm.x == 160
    assert header.sequenceParameters.TR == [3000]
    assert header.sequenceParameters.TE == [75]
    assert encoding.echoTrainLength == 15
    assert header.measurementInformation.patientPosition.value == "FFS"


def test_flags_and_geometry(demo: Path) -> None:
    heads = read_records(demo)["head"]
    imaging = heads[heads["flags"] != 1 << 18]
    assert len(imaging) == 3 * 40
    assert len(heads) == len(imaging) + 16
    assert list(heads["scan_counter"]) == list(range(len(heads)))

    def has(flag: int) -> Any:
        return (imaging["flags"] >> np.uint64(flag - 1)) & np.uint64(1) == 1

    assert has(7).sum() == has(8).sum() == 3
    assert has(25).sum() == 1
    assert has(25)[-1]
    lines = imaging["idx"]["kspace_encode_step_1"]
    np.testing.assert_array_equal(has(21), (lines >= 32) & (lines < 48))
    for s in range(3):
        position = imaging["position"][imaging["idx"]["slice"] == s]
        np.testing.assert_allclose(position - (-92.0, 12.5, 3.3 * (s - 1)), 0, atol=1e-5)
    np.testing.assert_array_equal(imaging["slice_dir"][0], (0, 0, 1))


def test_noise_readouts_and_images_have_the_stated_noise(demo: Path, tmp_path: Path) -> None:
    records = read_records(demo)
    write_small(tmp_path / "clean.h5", muscle_snr=1e6)
    clean = samples(read_records(tmp_path / "clean.h5"))
    noise_only, in_images = samples(records)[:16], (samples(records) - clean)[16:]
    covariance = (
        np.einsum("rcs,rds->cd", noise_only, noise_only.conj()) / (16 * 192) * 5.0 / 4.0
    )  # dwell times 5 and 4 us
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    whitened = np.einsum("cd,rds->rcs", whiten, in_images)
    residual = np.einsum("rcs,rds->cd", whitened, whitened.conj()) / (len(whitened) * 192) - np.eye(8)
    assert np.abs(residual).max() < 0.06


def test_full_sampling_reproduces_the_stored_truth(tmp_path: Path) -> None:
    path = tmp_path / "full.h5"
    write_small(path, acceleration=1.0, muscle_snr=1e6)
    records = read_records(path)
    with h5py.File(path) as file:
        truth, truth_snr = file["truth/rss"][:], file["truth/snr"][:]
    kspace = np.zeros((3, 8, 80, 192), np.complex64)
    where = records["head"]["idx"][16:]
    kspace[where["slice"], :, where["kspace_encode_step_1"]] = samples(records)[16:]
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
    combined = np.sqrt((np.abs(images[..., 48:144]) ** 2).sum(1))
    assert truth.shape == combined.shape == (3, 80, 96)
    np.testing.assert_allclose(combined, truth, atol=1e-5 * truth.max())
    leg = truth > 0.3
    assert np.std(truth_snr[leg] / truth[leg]) < 0.1 * np.mean(truth_snr[leg] / truth[leg])


def test_muscle_has_the_signal_to_noise_ratio_asked_for(demo: Path) -> None:
    with h5py.File(demo) as file:
        truth_snr = file["truth/snr"][1]
    x_mm, y_mm = ((torch.arange(n) - n // 2) * 160.0 / n for n in MATRIX)
    knee = render(knee_section(0.0, seed=4), x_mm, y_mm)
    muscle = truth_snr[((knee - SIGNAL["muscle"]).abs() < 1e-3).numpy()]
    assert 10 < muscle.mean() < 20  # 13 on average over the leg; muscles lie nearer to the coils


def test_same_seed_same_file_and_another_seed_another_scan(tmp_path: Path, demo: Path) -> None:
    first = read_records(demo)
    for seed, equal in ((4, True), (5, False)):
        path = tmp_path / f"{seed}.h5"
        write_small(path, seed)
        other = read_records(path)
        assert (other["head"].tobytes() == first["head"].tobytes()) is equal
        assert np.array_equal(other["data"][20], first["data"][20]) is equal
