"""BART pairs: the axis order, what is sampled, and every way in which a pair can be broken."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from knerve.datasets.bart import read_bart
from knerve.gpu.fourier import to_image
from knerve.recon.errors import RawDataError, UnsupportedError


def write_pair(stem: Path, values: NDArray[np.complex64]) -> Path:
    """Write `values`, indexed in BART's own order of dimensions."""
    stem.with_name(stem.name + ".hdr").write_text("# Dimensions\n" + " ".join(map(str, values.shape)) + " \n")
    values.astype("<c8").ravel(order="F").tofile(stem.with_name(stem.name + ".cfl"))
    return stem


def random_kspace(*shape: int) -> NDArray[np.complex64]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def test_axes_and_time_points_and_slices(tmp_path: Path) -> None:
    values = random_kspace(8, 6, 1, 3, 1, 1, 1, 1, 1, 1, 2, 1, 1, 4, 1, 1)
    scan = read_bart(write_pair(tmp_path / "two.d", values))
    assert scan.kspace.shape == (8, 3, 6, 8)
    assert [(f.repetition, f.slice) for f in scan.frames] == [(t, s) for t in range(2) for s in range(4)]
    expected = values[:, :, 0, :, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0].T  # (coil, ky, kx) of time 1, slice 2
    np.testing.assert_array_equal(scan.kspace[4 + 2].numpy(), expected)
    assert scan.grid.encoded_matrix == (8, 6, 1)
    assert scan.noise is None
    assert not scan.frames[0].geometry_known
    assert any("no geometry" in note for note in scan.notes)
    assert any("no noise" in note for note in scan.notes)


def test_two_phase_encodes_are_a_3d_scan(tmp_path: Path) -> None:
    values = random_kspace(8, 6, 5, 2)
    values[:, 1, 3] = 0
    scan = read_bart(write_pair(tmp_path / "volume", values))
    assert scan.is_3d
    np.testing.assert_array_equal(scan.kspace[0, 1].numpy(), values[:, :, :, 1].T)  # (kz, ky, kx)
    assert scan.counts.shape == (1, 5, 6)
    assert int(scan.counts.sum()) == 29
    assert int(scan.counts[0, 3, 1]) == 0


def test_zero_lines_and_an_asymmetric_echo_were_not_sampled(tmp_path: Path) -> None:
    values = random_kspace(16, 10, 1, 2)
    values[:, 1::2] = 0
    values[:5] = 0
    scan = read_bart(write_pair(tmp_path / "half", values))
    assert scan.counts.tolist() == [[1, 0] * 5]
    assert scan.sampled_kx == (5, 16)


@pytest.mark.parametrize("named", ["scan.cfl", "scan.hdr", "scan"])
def test_either_half_or_the_bare_name_will_do(tmp_path: Path, named: str) -> None:
    write_pair(tmp_path / "scan", random_kspace(4, 4, 1, 2))
    assert read_bart(tmp_path / named).n_coils == 2


def test_broken_pairs_are_refused_with_the_reason(tmp_path: Path) -> None:
    stem = write_pair(tmp_path / "scan", random_kspace(4, 4, 1, 2))
    samples, header = tmp_path / "scan.cfl", tmp_path / "scan.hdr"
    whole = samples.read_bytes()

    samples.write_bytes(whole[:-100])
    with pytest.raises(RawDataError, match=r"scan\.cfl is truncated: .*4 x 4 x 2 .* need 256 bytes, the file has 156"):
        read_bart(stem)
    samples.write_bytes(whole + b"\0" * 8)
    with pytest.raises(RawDataError, match="does not match its header"):
        read_bart(stem)
    samples.write_bytes(whole)
    for text in (
        "4 4 1 2",
        "# Dimensions\n",
        "# Dimensions\n4 -4 1 2",
        "# Dimensions\n4 x",
        "# Dimensions\n" + "1 " * 17,
    ):
        header.write_text(text)
        with pytest.raises(RawDataError, match="is no BART header"):
            read_bart(stem)
    header.unlink()
    with pytest.raises(RawDataError, match=r"scan\.hdr is missing: BART data are a pair"):
        read_bart(samples)


def test_other_dimensions_are_refused_by_name(tmp_path: Path) -> None:
    stem = write_pair(tmp_path / "maps", random_kspace(4, 4, 1, 2, 2, 3))
    with pytest.raises(UnsupportedError, match=r"maps \(4\) = 2, echo time \(5\) = 3"):
        read_bart(stem)


def test_nan_samples_and_empty_slices_are_refused(tmp_path: Path) -> None:
    values = random_kspace(4, 4, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3)
    values[1, 2, 0, 1, ..., 2] = np.nan
    with pytest.raises(RawDataError, match="NaN or Inf samples, first in slice 2, coil 1"):
        read_bart(write_pair(tmp_path / "nan", values))
    values[..., 2] = 0
    with pytest.raises(RawDataError, match="zero everywhere in slice 2"):
        read_bart(write_pair(tmp_path / "empty", values))


def test_an_undersampled_readout_is_refused(tmp_path: Path) -> None:
    values = random_kspace(16, 16, 1, 2)
    values *= np.random.default_rng(1).random((16, 16, 1, 1)) < 0.4
    with pytest.raises(UnsupportedError, match="undersampled along the readout"):
        read_bart(write_pair(tmp_path / "poisson", values))


@pytest.mark.skipif(shutil.which("bart") is None, reason="needs the BART tools (Debian package bart)")
def test_bart_itself_agrees_on_the_image(tmp_path: Path) -> None:
    def bart(*arguments: str) -> None:
        subprocess.run(["bart", *arguments], cwd=tmp_path, check=True, capture_output=True)

    bart("phantom", "-k", "-s4", "-x32", "ksp")
    bart("fft", "-i", "-u", "3", "ksp", "image")
    scan = read_bart(tmp_path / "ksp")
    theirs = np.fromfile(tmp_path / "image.cfl", "<c8").reshape(4, 32, 32)
    ours = to_image(scan.kspace, dims=(-2, -1))[0].numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())
