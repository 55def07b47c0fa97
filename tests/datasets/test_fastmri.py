"""fastMRI files as the data set has them: axis order, zero padding, masks, odd headers and broken files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from knerve.datasets.fastmri import read_fastmri
from knerve.gpu.fourier import resize_centred, to_image
from knerve.recon.errors import RawDataError, UnsupportedError

N_SLICES, N_COILS, N_ROWS, N_COLUMNS = 2, 3, 64, 24


def header_xml(n_rows: int = N_ROWS, n_columns: int = N_COLUMNS) -> str:
    return f"""<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
    <acquisitionSystemInformation><systemVendor>SIEMENS</systemVendor></acquisitionSystemInformation>
    <experimentalConditions><H1resonanceFrequency_Hz>63000000</H1resonanceFrequency_Hz></experimentalConditions>
    <encoding><encodedSpace><matrixSize><x>{n_rows}</x><y>{n_columns}</y><z>1</z></matrixSize>
    <fieldOfView_mm><x>280</x><y>150</y><z>4.5</z></fieldOfView_mm></encodedSpace>
    <reconSpace><matrixSize><x>32</x><y>32</y><z>1</z></matrixSize>
    <fieldOfView_mm><x>140</x><y>140</y><z>4.5</z></fieldOfView_mm></reconSpace>
    <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>20</maximum><center>11</center>
    </kspace_encoding_step_1></encodingLimits><trajectory>cartesian</trajectory></encoding>
    <sequenceParameters><TR>2200</TR><TE>27</TE></sequenceParameters></ismrmrdHeader>"""


def random_kspace(*shape: int) -> NDArray[np.complex64]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def write_file(
    path: Path, kspace: NDArray[np.complex64] | NDArray[np.float32], xml: str | None = "", mask: object = None
) -> Path:
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
        file["reconstruction_rss"] = np.zeros((2, 2, 2), np.float32)
        if xml is not None:
            file["ismrmrd_header"] = xml or header_xml()
        if mask is not None:
            file["mask"] = mask
    return path


def test_rows_are_the_readout_and_columns_the_phase_encodes(tmp_path: Path) -> None:
    kspace = random_kspace(N_SLICES, N_COILS, N_ROWS, N_COLUMNS)
    kspace[..., :1] = 0
    kspace[..., 22:] = 0
    scan = read_fastmri(write_file(tmp_path / "a.h5", kspace))
    assert scan.kspace.shape == (N_SLICES, N_COILS, N_COLUMNS, N_ROWS)
    np.testing.assert_array_equal(scan.kspace[1, 2, 5].numpy(), kspace[1, 2, :, 5])
    assert scan.counts[0].tolist() == [0] + [1] * 21 + [0] * 2
    assert scan.grid.encoded_matrix == (N_ROWS, N_COLUMNS, 1)
    assert scan.grid.encoded_fov_mm == (280.0, 150.0, 4.5)
    assert scan.grid.recon_matrix == (32, 32, 1)
    assert scan.sampled_kx == (0, N_ROWS)
    assert scan.header.tr_ms == (2200.0,)
    assert [frame.slice for frame in scan.frames] == [0, 1]
    assert scan.noise is None
    assert any("no positions" in note for note in scan.notes)
    assert any("no noise readouts" in note for note in scan.notes)


def test_image_is_the_usual_fastmri_image_transposed(tmp_path: Path) -> None:
    object_ = np.zeros((N_ROWS, N_COLUMNS), np.complex64)
    object_[20:30, 4:9] = 1
    theirs = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(object_), norm="ortho"))
    scan = read_fastmri(
        write_file(tmp_path / "a.h5", np.broadcast_to(theirs, (1, 2, N_ROWS, N_COLUMNS)).astype(np.complex64))
    )
    image = resize_centred(to_image(scan.kspace, dims=(-2, -1)), -1, 32)[0, 0]
    np.testing.assert_allclose(image.numpy(), object_[16:48].T, atol=1e-5)


@pytest.mark.parametrize("kind", [bool, np.float32, np.uint8])
def test_a_mask_leaves_lines_out(tmp_path: Path, kind: type) -> None:
    kept = np.zeros(N_COLUMNS, bool)
    kept[::3] = kept[10:15] = True
    scan = read_fastmri(write_file(tmp_path / "a.h5", random_kspace(1, 2, N_ROWS, N_COLUMNS), mask=kept.astype(kind)))
    assert scan.counts[0].tolist() == kept.astype(int).tolist()
    assert not bool(scan.kspace[0][:, torch.from_numpy(~kept)].any())


def test_missing_and_incomplete_headers_are_told(tmp_path: Path) -> None:
    kspace = random_kspace(1, 2, N_ROWS, N_COLUMNS)
    scan = read_fastmri(write_file(tmp_path / "a.h5", kspace, xml=None))
    assert scan.grid.recon_matrix == (32, N_COLUMNS, 1)
    assert scan.grid.encoded_fov_mm == (64.0, 24.0, 1.0)
    assert any("were assumed: the file has no ismrmrd_header" in note for note in scan.notes)
    scan = read_fastmri(write_file(tmp_path / "b.h5", kspace, xml="<ismrmrdHeader/>"))
    assert any("1 mm" in note and "no 'encoding' element" in note for note in scan.notes)
    scan = read_fastmri(write_file(tmp_path / "c.h5", kspace, xml=header_xml(n_columns=28)))
    assert scan.grid.encoded_matrix == (N_ROWS, N_COLUMNS, 1)
    assert any("24 columns, the header encodes 28" in note for note in scan.notes)


def test_contradictions_are_refused(tmp_path: Path) -> None:
    kspace = random_kspace(1, 2, N_ROWS, N_COLUMNS)
    with pytest.raises(RawDataError, match="64 rows, but the header encodes 80 x 24 x 1"):
        read_fastmri(write_file(tmp_path / "a.h5", kspace, xml=header_xml(n_rows=80)))
    with pytest.raises(RawDataError, match="the mask has 7 entries, but kspace has 24 columns"):
        read_fastmri(write_file(tmp_path / "b.h5", kspace, mask=np.ones(7)))
    with pytest.raises(UnsupportedError, match="emulated single-coil file"):
        read_fastmri(write_file(tmp_path / "c.h5", kspace[0]))
    with pytest.raises(RawDataError, match=r"kspace has the shape \(64, 24\)"):
        read_fastmri(write_file(tmp_path / "d.h5", kspace[0, 0]))
    with pytest.raises(RawDataError, match="no complex data set 'kspace'"):
        read_fastmri(write_file(tmp_path / "e.h5", np.abs(kspace)))
    kspace[0, 1, 3, 4] = np.nan
    with pytest.raises(RawDataError, match="NaN or Inf samples, first in slice 0, coil 1"):
        read_fastmri(write_file(tmp_path / "f.h5", kspace))


def test_truncated_and_foreign_files_are_told(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.h5", random_kspace(4, 4, N_ROWS, N_COLUMNS))
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:size])
        with pytest.raises(RawDataError, match="truncated or damaged; copy it again"):
            read_fastmri(path)
    path.write_bytes(b"not HDF5 at all")
    with pytest.raises(RawDataError, match="cannot be read as HDF5"):
        read_fastmri(path)
