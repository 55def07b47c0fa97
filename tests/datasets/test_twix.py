"""TWIX files: a real one, and small ones built here with every counter, flag and fault that the reader must handle."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from knerve.datasets.twix import read_twix
from knerve.datasets.twix_blocks import looks_like_twix
from knerve.gpu.fourier import resize_centred, to_image
from knerve.recon.errors import RawDataError, UnsupportedError

mdh_def = pytest.importorskip("twixtools.mdh_def", reason="needs the extra knerve[twix]")

GRE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "siemens_twix" / "gre.dat"
needs_gre = pytest.mark.skipif(not GRE.exists(), reason="needs the shared test data")

PROTOCOL = {
    "sKSpace.lBaseResolution": "8",
    "sKSpace.ucDimension": "2",
    "sKSpace.ucTrajectory": "1",
    "sSliceArray.asSlice[0].dReadoutFOV": "200.0",
    "sSliceArray.asSlice[0].dPhaseFOV": "150.0",
    "sSliceArray.asSlice[0].dThickness": "4.0",
    "sRXSPEC.alDwellTime[0]": "5000",
    "alTR[0]": "500000",
    "alTE[0]": "10000",
    "alTE[1]": "20000",
    "adFlipAngleDegree[0]": "15.0",
    "sPat.lAccelFactPE": "1",
    "sPat.ucRefScanMode": "1",
}
N_COILS, N_SAMPLES, N_LINES = 3, 16, 6


@dataclass
class Line:
    """One readout to write: counters, flags and samples (coil, sample)."""

    lin: int
    samples: NDArray[np.complex64]
    flags: tuple[str, ...] = ()
    centre_col: int = N_SAMPLES // 2
    centre_lin: int = N_LINES // 2
    cut_off: tuple[int, int] = (0, 0)
    counters: dict[str, int] = field(default_factory=dict)
    centre_par: int = 0


def random_samples(seed: int, n_samples: int = N_SAMPLES, n_coils: int = N_COILS) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n_coils, n_samples)) + 1j * rng.standard_normal((n_coils, n_samples))).astype(
        np.complex64
    )


def full_scan(**counters: int) -> list[Line]:
    return [Line(lin, random_samples(100 + lin), counters=dict(counters)) for lin in range(N_LINES)]


def head_bytes(line: Line, kind: type) -> bytes:
    head = kind()
    mask = sum(1 << mdh_def.mask_dict[name] for name in line.flags)
    head.EvalInfoMask = mask
    head.SamplesInScan, head.UsedChannels = line.samples.shape[1], line.samples.shape[0]
    head.CenterCol, head.CenterLin, head.CenterPar = line.centre_col, line.centre_lin, line.centre_par
    head.CutOff.Pre, head.CutOff.Post = line.cut_off
    head.Counter.Lin = line.lin
    for name, value in line.counters.items():
        setattr(head.Counter, name, value)
    place = head.SliceData.SlicePos
    place.Sag, place.Cor, place.Tra = 1.0, 2.0, 3.0 + 5 * line.counters.get("Sli", 0)
    for i, value in enumerate((0.5**0.5, 0.0, 0.0, 0.5**0.5)):  # 90 degrees about z
        object.__getattribute__(head.SliceData, "Quaternion")[i] = value
    return bytes(head)


def protocol_bytes(changes: dict[str, str]) -> bytes:
    lines = "\n".join(f"{name} = {value}" for name, value in (PROTOCOL | changes).items())
    text = f"### ASCCONV BEGIN ###\n{lines}\n\n### ASCCONV END ###\n".encode()
    dicom = b'<ParamString."tPatientPosition"> { "FFS" }\n<ParamDouble."flMagneticFieldStrength"> { 2.89 }\n'
    body = b"".join(
        name + b"\0" + struct.pack("<I", len(part)) + part for name, part in ((b"MeasYaps", text), (b"Dicom", dicom))
    )
    body += b"\0" * (12_000 - len(body) - 8)  # real protocols are long: by that VB files are told from VE files
    return struct.pack("<II", len(body) + 8, 2) + body


def measurement_bytes(
    lines: Iterable[Line], changes: dict[str, str], *, is_ve: bool = True, ended: bool = True
) -> bytes:
    kind = mdh_def.Scan_header if is_ve else mdh_def.VB17_header
    parts = [protocol_bytes(changes)]
    for line in lines:
        head = head_bytes(line, kind)
        per_coil = bytes(mdh_def.Channel_header()) if is_ve else head
        parts.append(head if is_ve else b"")
        parts += [per_coil + coil.tobytes() for coil in line.samples]
    if ended:
        parts.append(head_bytes(Line(0, np.zeros((1, 16), np.complex64), flags=("ACQEND",)), kind) + b"\0" * 64)
    return b"".join(parts)


def write_ve(path: Path, *measurements: tuple[str, bytes]) -> Path:
    table, body, offset = struct.pack("<II", 0, len(measurements)), b"", 10240
    for name, content in measurements:
        padded = content + b"\0" * (-len(content) % 512)
        table += struct.pack("<IIQQ64s64s", 1, 1, offset + len(body), len(content), b"x", name.encode())
        body += padded
    path.write_bytes(table.ljust(10240, b"\0") + body)
    return path


def write_scan(path: Path, lines: Iterable[Line], **changes: str) -> Path:
    return write_ve(path, ("scan", measurement_bytes(lines, {k.replace("__", "."): v for k, v in changes.items()})))


def test_lines_land_at_their_counters_and_geometry_comes_from_the_readouts(tmp_path: Path) -> None:
    lines = full_scan(Sli=1) + full_scan(Sli=0)
    scan = read_twix(write_scan(tmp_path / "a.dat", lines))
    assert scan.kspace.shape == (2, N_COILS, N_LINES, N_SAMPLES)
    np.testing.assert_array_equal(scan.kspace[0, :, 4].numpy(), random_samples(104))
    assert scan.grid.encoded_matrix == (16, 6, 1)
    assert scan.grid.encoded_fov_mm == (400.0, 150.0, 4.0)
    assert scan.grid.recon_matrix == (8, 6, 1)
    assert [frame.position_mm for frame in scan.frames] == [(1, 2, 3), (1, 2, 8)]
    assert scan.frames[0].geometry_known
    np.testing.assert_allclose(scan.frames[0].phase_dir, (0, 1, 0), atol=1e-6)
    np.testing.assert_allclose(scan.frames[0].read_dir, (-1, 0, 0), atol=1e-6)
    np.testing.assert_allclose(scan.frames[0].slice_dir, (0, 0, 1), atol=1e-6)
    assert scan.header.tr_ms == (500.0,)
    assert scan.header.te_ms == (10.0,)
    assert scan.header.patient_position == "FFS"
    assert scan.header.field_strength_t == 2.89
    assert scan.sampled_kx == (0, 16)


def test_averages_are_averaged_and_other_counters_make_images(tmp_path: Path) -> None:
    again = [Line(lin, random_samples(200 + lin), counters={"Ave": 1}) for lin in range(3)]
    scan = read_twix(write_scan(tmp_path / "a.dat", full_scan() + again + full_scan(Eco=1) + full_scan(Rep=2)))
    assert [(f.repetition, f.contrast) for f in scan.frames] == [(0, 0), (0, 1), (2, 0)]
    assert scan.counts[0].tolist() == [2, 2, 2, 1, 1, 1]
    mean = (random_samples(101) + random_samples(201)) / 2
    np.testing.assert_allclose(scan.kspace[0, :, 1].numpy(), mean, rtol=1e-6)
    assert scan.header.te_ms == (10.0, 20.0)


def test_centres_cut_offs_and_reflected_readouts(tmp_path: Path) -> None:
    partial = [Line(lin, random_samples(lin, 12), centre_col=4, centre_lin=1) for lin in range(4)]
    scan = read_twix(write_scan(tmp_path / "partial.dat", partial))
    assert scan.counts[0].tolist() == [0, 0, 1, 1, 1, 1]
    assert scan.sampled_kx == (4, 16)
    np.testing.assert_array_equal(scan.kspace[0, :, 2, 4:].numpy(), random_samples(0, 12))

    cut = [Line(lin, random_samples(lin, 20), centre_col=11, cut_off=(3, 1)) for lin in range(N_LINES)]
    scan = read_twix(write_scan(tmp_path / "cut.dat", cut))
    np.testing.assert_array_equal(scan.kspace[0, :, 0].numpy(), random_samples(0, 20)[:, 3:19])

    turned = [Line(lin, random_samples(lin, 12)[:, ::-1], ("REFLECT",), centre_col=7) for lin in range(N_LINES)]
    scan = read_twix(write_scan(tmp_path / "turned.dat", turned))
    assert scan.sampled_kx == (4, 16)
    np.testing.assert_array_equal(scan.kspace[0, :, 0, 4:].numpy(), random_samples(0, 12))


def test_readouts_that_are_no_images_are_left_out(tmp_path: Path) -> None:
    others = [Line(0, random_samples(i), (flag,)) for i, flag in enumerate(("PHASCOR", "RTFEEDBACK", "PHASESTABSCAN"))]
    scan = read_twix(write_scan(tmp_path / "a.dat", others + full_scan()))
    assert scan.counts[0].tolist() == [1] * N_LINES


def test_noise_scans_of_the_measurement_are_scaled_by_their_dwell_time(tmp_path: Path) -> None:
    noise = [Line(0, random_samples(i, 32), ("NOISEADJSCAN",)) for i in range(4)]
    scan = read_twix(write_scan(tmp_path / "a.dat", noise + full_scan()))
    assert scan.noise is not None
    assert scan.noise.samples.shape == (N_COILS, 128)
    assert scan.noise.variance_scale == pytest.approx((7680 / 32) / (5.0 * 0.793))


def test_noise_of_an_earlier_adjustment_is_used_and_told(tmp_path: Path) -> None:
    noise = measurement_bytes([Line(0, random_samples(i, 64), ("NOISEADJSCAN",)) for i in range(2)], {})
    path = write_ve(tmp_path / "a.dat", ("AdjCoilSens", noise), ("tse", measurement_bytes(full_scan(), {})))
    scan = read_twix(path)
    assert scan.noise is not None
    assert scan.noise.variance_scale == pytest.approx(5.0 / (5.0 * 0.793))
    assert scan.notes == ("Noise readouts come from the adjustment AdjCoilSens.",)
    for name in ("tse", "2"):
        assert torch.equal(read_twix(path, name).kspace, scan.kspace)
    with pytest.raises(RawDataError, match=r"no measurement 'gre'; it holds: 1 AdjCoilSens, 2 tse"):
        read_twix(path, "gre")
    with pytest.raises(RawDataError, match="no imaging readouts in its measurement 'AdjCoilSens'"):
        read_twix(path, "1")


def test_integrated_reference_lines_fill_gaps_and_separate_ones_calibrate(tmp_path: Path) -> None:
    imaging = [line for line in full_scan() if line.lin % 2 == 0]
    reference = [Line(lin, random_samples(300 + lin), ("PATREFSCAN",)) for lin in (2, 3)]
    both = [Line(5, random_samples(305), ("PATREFSCAN", "PATREFANDIMASCAN"))]
    asked = {"sPat__lAccelFactPE": "2"}
    inside = read_twix(write_scan(tmp_path / "in.dat", imaging + reference + both, **asked, sPat__ucRefScanMode="2"))
    assert inside.counts[0].tolist() == [1, 0, 1, 1, 1, 1]
    np.testing.assert_array_equal(inside.kspace[0, :, 2].numpy(), random_samples(102))
    np.testing.assert_array_equal(inside.kspace[0, :, 3].numpy(), random_samples(303))
    assert inside.calibration is None
    assert inside.header.acceleration_asked == (2.0, 1.0)

    apart = read_twix(write_scan(tmp_path / "out.dat", imaging + reference, **asked, sPat__ucRefScanMode="4"))
    assert apart.counts[0].tolist() == [1, 0, 1, 0, 1, 0]
    assert apart.calibration is not None
    assert apart.calibration.kspace.shape == (1, N_COILS, 2, N_SAMPLES)
    assert apart.calibration.of_frame == (0,)
    np.testing.assert_array_equal(apart.calibration.kspace[0, :, 1].numpy(), random_samples(303))


def test_separate_reference_lines_serve_all_repetitions_of_their_slice(tmp_path: Path) -> None:
    reference = [Line(lin, random_samples(lin), ("PATREFSCAN",), counters={"Sli": s}) for s in (1, 0) for lin in (2, 3)]
    lines = (
        reference
        + full_scan(Rep=0, Sli=0)
        + full_scan(Rep=0, Sli=1)
        + full_scan(Rep=1, Sli=0)
        + full_scan(Rep=1, Sli=1)
    )
    scan = read_twix(write_scan(tmp_path / "a.dat", lines))
    assert scan.calibration is not None
    assert scan.calibration.of_frame == (0, 1, 0, 1)
    scan = read_twix(write_scan(tmp_path / "b.dat", reference[:2] + full_scan(Sli=0) + full_scan(Sli=1)))
    assert scan.calibration is None
    assert scan.notes == ("Reference lines do not cover every slice, so they were left out.",)


def test_volumes_have_partitions(tmp_path: Path) -> None:
    lines = [
        Line(y, random_samples(10 * z + y), counters={"Par": z}, centre_par=2) for z in range(4) for y in range(N_LINES)
    ]
    changes = {"sKSpace__ucDimension": "4", "sKSpace__lPartitions": "4", "sKSpace__lImagesPerSlab": "4"}
    scan = read_twix(write_scan(tmp_path / "a.dat", lines, **changes))
    assert scan.kspace.shape == (1, N_COILS, 4, N_LINES, N_SAMPLES)
    np.testing.assert_array_equal(scan.kspace[0, :, 3, 5].numpy(), random_samples(35))
    assert scan.grid.encoded_matrix == (16, 6, 4)


def test_vb_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "vb.dat"
    path.write_bytes(measurement_bytes(full_scan(), {}, is_ve=False))
    assert looks_like_twix(path)
    np.testing.assert_array_equal(read_twix(path).kspace[0, :, 2].numpy(), random_samples(102))


def test_files_that_end_too_early_are_told(tmp_path: Path) -> None:
    whole = write_scan(tmp_path / "a.dat", full_scan()).read_bytes()
    path = tmp_path / "short.dat"
    for size, match in (
        (12, "table of measurements"),
        (10240, "is truncated"),
        (11000, "is truncated"),
        (len(whole) - 600, "truncated"),
    ):
        path.write_bytes(whole[:size])
        with pytest.raises(RawDataError, match=match):
            read_twix(path)
    path.write_bytes(measurement_bytes(full_scan(), {}, is_ve=False)[:-700])
    with pytest.raises(RawDataError, match="after 5 readouts comes neither another one nor the end mark"):
        read_twix(path)
    unended = write_ve(path, ("scan", measurement_bytes(full_scan(), {}, ended=False)))
    with pytest.raises(RawDataError, match="after 6 readouts of measurement scan comes neither"):
        read_twix(unended)


def test_damaged_contents_are_told(tmp_path: Path) -> None:
    with pytest.raises(RawDataError, match="number of channels changes from readout to readout \\(2, 3\\)"):
        read_twix(write_scan(tmp_path / "a.dat", [*full_scan(), Line(0, random_samples(0, n_coils=2))]))
    with pytest.raises(RawDataError, match="lies outside the matrix"):
        read_twix(write_scan(tmp_path / "b.dat", [*full_scan(), Line(0, random_samples(0), centre_col=2)]))
    broken = full_scan()
    broken[2].samples[1, 3] = np.inf
    with pytest.raises(RawDataError, match="NaN or Inf samples, first in line 2 of image 0"):
        read_twix(write_scan(tmp_path / "c.dat", broken))
    with pytest.raises(RawDataError, match="gives no matrix and field of view"):
        read_twix(write_scan(tmp_path / "d.dat", full_scan(), sKSpace__lBaseResolution="0"))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"sKSpace__ucTrajectory": "2"}, "a radial trajectory"),
        ({"sFastImaging__lEPIFactor": "64"}, "echo-planar imaging"),
        ({"sSliceAcceleration__lMultiBandFactor": "2"}, "simultaneous multi-slice"),
    ],
)
def test_other_kinds_of_scan_are_refused_by_name(tmp_path: Path, change: dict[str, str], name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        read_twix(write_scan(tmp_path / "a.dat", full_scan(), **change))


def test_without_twixtools_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scan(tmp_path / "a.dat", full_scan())
    monkeypatch.setitem(sys.modules, "twixtools", None)
    with pytest.raises(RawDataError, match=r"pip install twixtools"):
        read_twix(path)


@needs_gre
def test_a_real_file_makes_the_image_that_plain_twixtools_makes() -> None:
    twixtools = pytest.importorskip("twixtools")
    scan = read_twix(GRE)
    assert scan.kspace.shape == (1, 2, 160, 320)
    assert scan.grid.recon_fov_mm == (200.0, 200.0, 4.0)
    assert scan.header.model == "Skyra"
    assert scan.frames[0].position_mm == pytest.approx((-2.59, 53.92, -54.0), abs=0.01)
    assert scan.frames[0].slice_dir == pytest.approx((0, 0.0384, 0.9993), abs=1e-4)
    blocks = twixtools.read_twix(str(GRE), verbose=False, parse_pmu=False)[-1]["mdb"]
    kspace = np.zeros((2, 160, 320), np.complex64)
    for block in (b for b in blocks if b.is_image_scan()):
        kspace[:, block.cLin] = block.data
    np.testing.assert_array_equal(scan.kspace[0].numpy(), kspace)
    image = resize_centred(to_image(scan.kspace, dims=(-2, -1)), -1, 160)[0].abs().square().sum(0).sqrt()
    assert float(image[40:120, 20:140].mean()) > 5 * float(
        image[:8, :8].mean()
    )  # a phantom in the middle, air in the corner


@needs_gre
def test_a_truncated_real_file_is_told(tmp_path: Path) -> None:
    whole = GRE.read_bytes()
    for size in (100, 20_000, len(whole) // 2, len(whole) - 100_000):
        path = tmp_path / "gre.dat"
        path.write_bytes(whole[:size])
        with pytest.raises(RawDataError, match="is truncated"):
            read_twix(path)
