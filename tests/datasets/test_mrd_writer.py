"""The bulk writer makes files that the ismrmrd package reads back, and leaves nothing half-written."""

from __future__ import annotations

from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest

from knerve.datasets.mrd_writer import Readouts, flag_bits, new_heads, write_mrd
from knerve.recon.errors import OutputError


def make_block(n_readouts: int, n_coils: int, n_samples: int, seed: int = 0) -> Readouts:
    rng = np.random.default_rng(seed)
    shape = (n_readouts, n_coils, n_samples)
    samples = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    heads = new_heads(samples, sample_time_us=4.0)
    heads["idx"]["kspace_encode_step_1"] = np.arange(n_readouts)
    return Readouts(samples, heads)


def test_ismrmrd_package_reads_every_readout_back(tmp_path: Path) -> None:
    noise, imaging = make_block(2, 3, 8, seed=1), make_block(5, 3, 12, seed=2)
    noise.heads["flags"] = flag_bits(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    imaging.heads["position"] = (1.0, -2.0, 3.5)
    path = tmp_path / "raw.h5"

    write_mrd(path, "<ismrmrdHeader/>", [noise, imaging], arrays={"truth/rss": np.ones((2, 2), np.float32)})

    with ismrmrd.Dataset(str(path), "dataset", create_if_needed=False) as dataset:
        assert dataset.read_xml_header() == b"<ismrmrdHeader/>"
        assert dataset.number_of_acquisitions() == 7
        first, last = dataset.read_acquisition(0), dataset.read_acquisition(6)
    assert first.isFlagSet(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    np.testing.assert_array_equal(first.data, noise.samples[0])
    np.testing.assert_array_equal(last.data, imaging.samples[4])
    assert not last.isFlagSet(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    assert last.idx.kspace_encode_step_1 == 4
    assert tuple(last.position) == (1.0, -2.0, 3.5)
    assert last.center_sample == 6
    assert [last.isChannelActive(c) for c in range(4)] == [True, True, True, False]
    with h5py.File(path) as file:
        assert file["truth/rss"].shape == (2, 2)


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"raw\.h5 could not be written .* Check that the folder exists"):
        write_mrd(tmp_path / "absent" / "raw.h5", "<x/>", [make_block(1, 1, 4)])
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="taken could not be written"):
        write_mrd(tmp_path / "taken", "<x/>", [make_block(1, 1, 4)])
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    for n_readouts in (3, 1):
        write_mrd(path, "<x/>", [make_block(n_readouts, 1, 4)])
    with h5py.File(path) as file:
        assert file["dataset/data"].shape == (1,)


def test_heads_of_other_samples_are_refused() -> None:
    block = make_block(3, 2, 4)
    with pytest.raises(ValueError, match="one head a readout"):
        Readouts(block.samples[:2], block.heads)


def test_more_than_sixty_four_channels_fill_the_first_mask_word() -> None:
    assert new_heads(np.zeros((1, 80, 2), np.complex64), sample_time_us=1.0)["channel_mask"][0, 0] == 2**64 - 1
