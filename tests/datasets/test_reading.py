"""The right reader is found by content, and everything else is refused with the list of what would do."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from knerve.datasets.demo_scan import write_demo_scan
from knerve.datasets.reading import read_raw
from knerve.recon.errors import RawDataError

KNOWN = r"ISMRMRD/MRD \(\.h5, \.mrd\), fastMRI"


def write_fastmri(path: Path) -> Path:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["kspace"] = (rng.standard_normal((1, 2, 16, 8)) + 1j).astype(np.complex64)
    return path


def write_bart(stem: Path) -> Path:
    stem.with_name(stem.name + ".hdr").write_text("# Dimensions\n8 6 1 2\n")
    np.ones(96, "<c8").tofile(stem.with_name(stem.name + ".cfl"))
    return stem


def write_mrd(path: Path) -> Path:
    write_demo_scan(path, n_slices=1, matrix=(48, 40), acceleration=2, n_calibration=16, n_coils=4)
    return path


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    assert read_raw(write_fastmri(tmp_path / "fast.dat")).kspace.shape == (1, 2, 8, 16)
    scan = read_raw(write_mrd(tmp_path / "scan.bin"))
    assert scan.kspace.shape == (1, 4, 40, 96)
    assert int(scan.counts.sum()) == 20
    assert scan.noise is not None
    assert scan.noise.variance_scale == pytest.approx(5 / 4)
    assert scan.frames[0].position_mm == pytest.approx((-92.0, 12.5, 0.0))


@pytest.mark.parametrize("name", ["pair", "pair.cfl", "pair.hdr"])
def test_bart_pairs_by_any_of_their_names(tmp_path: Path, name: str) -> None:
    write_bart(tmp_path / "pair")
    assert read_raw(tmp_path / name).kspace.shape == (1, 2, 6, 8)


def test_half_a_bart_pair_is_told(tmp_path: Path) -> None:
    write_bart(tmp_path / "pair")
    (tmp_path / "pair.hdr").unlink()
    with pytest.raises(RawDataError, match=r"pair\.hdr is missing"):
        read_raw(tmp_path / "pair.cfl")


def test_what_is_no_raw_file_is_refused_with_the_known_formats(tmp_path: Path) -> None:
    with pytest.raises(RawDataError, match=f"is a folder; name one raw file in it.*{KNOWN}"):
        read_raw(tmp_path)
    with pytest.raises(RawDataError, match=f"does not exist.*{KNOWN}"):
        read_raw(tmp_path / "absent.h5")
    path = tmp_path / "file.h5"
    for content, words in (
        (b"", "is empty"),
        (b"hello world, this is text", "of no known format .it begins with b'hello world, thi"),
        (b"\0" * 128 + b"DICM", "a DICOM file: images that are reconstructed already"),
        (b"\x93NUMPY\x01\x00", "a NumPy array without a header"),
        (b"\x1f\x8b\x08", "gzip-compressed"),
        (b"PK\x03\x04", "zip archive"),
        (b"MATLAB 5.0 MAT-file", "MATLAB"),
    ):
        path.write_bytes(content)
        with pytest.raises(RawDataError, match=f"{words}.*{KNOWN}"):
            read_raw(path)


def test_a_group_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(RawDataError, match="A BART file holds one scan, but group 'a'"):
        read_raw(write_bart(tmp_path / "pair"), group="a")
    with pytest.raises(RawDataError, match="nowhere"):
        read_raw(write_mrd(tmp_path / "scan.h5"), group="nowhere")


def test_a_truncated_hdf5_file_is_told(tmp_path: Path) -> None:
    path = write_mrd(tmp_path / "scan.h5")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(RawDataError, match="truncated"):
        read_raw(path)
