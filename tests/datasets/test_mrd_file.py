"""MRD files become scans: what each readout is for, which image it belongs to, where that lies, and what the noise is worth."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from ismrmrd.hdf5 import acquisition_dtype
from numpy.typing import NDArray

from knerve.datasets.mrd_file import read_mrd
from knerve.recon.scan import Frame

WriteScan = Callable[..., Path]
HeaderXml = Callable[..., str]
Draw = Callable[..., NDArray[np.complex64]]

GEOMETRY = {"read_dir": (1, 0, 0), "phase_dir": (0, 1, 0), "slice_dir": (0, 0, 1)}


def line(samples: NDArray[np.complex64], step: int, **members: Any) -> dict[str, Any]:
    return {"samples": samples, "kspace_encode_step_1": step, **GEOMETRY, **members}


def notes_with(notes: tuple[str, ...], words: str) -> list[str]:
    return [note for note in notes if words in note]


def test_interleaved_slices_become_frames_in_order(write_scan: WriteScan, random_samples: Draw) -> None:
    data = random_samples(4, 6, 2, 8)
    order = [2, 0, 3, 1]
    readouts = [line(data[s, k], k, slice=s, position=(0, 0, 5 * s)) for k in range(6) for s in order]
    scan = read_mrd(write_scan(readouts))
    torch.testing.assert_close(scan.kspace, torch.from_numpy(data.transpose(0, 2, 1, 3).copy()))
    assert bool((scan.counts == 1).all())
    assert scan.counts.dtype == torch.int32
    assert [(frame.slice, frame.position_mm[2]) for frame in scan.frames] == [(0, 0), (1, 5), (2, 10), (3, 15)]
    assert all(frame.geometry_known for frame in scan.frames)
    assert (scan.noise, scan.calibration, scan.notes, scan.sampled_kx) == (None, None, (), (0, 8))
    assert scan.header.sample_time_us == 5.0


def test_more_readouts_than_a_block_holds(write_scan: WriteScan, random_samples: Draw) -> None:
    data = random_samples(60, 6, 1, 8)
    scan = read_mrd(write_scan([line(data[r, k], k, repetition=r) for r in range(60) for k in range(6)]))
    torch.testing.assert_close(scan.kspace[:, 0], torch.from_numpy(data[:, :, 0].copy()))


def test_repetition_is_slowest_and_empty_combinations_are_left_out(write_scan: WriteScan, random_samples: Draw) -> None:
    wanted = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1)]  # repetition, contrast, slice
    readouts = [line(random_samples(1, 8), 3, repetition=r, contrast=c, slice=s) for r, c, s in reversed(wanted)]
    scan = read_mrd(write_scan(readouts))
    assert [(frame.repetition, frame.contrast, frame.slice) for frame in scan.frames] == wanted
    assert notes_with(scan.notes, "No readouts for 3 of 8 images (2 repetitions x 2 contrasts x 2 slices): left out")


def test_fewer_images_than_announced_are_told(
    write_scan: WriteScan, random_samples: Draw, header_xml: HeaderXml, encoding_xml: HeaderXml
) -> None:
    header = header_xml(encoding_xml(limits="<repetition><minimum>0</minimum><maximum>2</maximum></repetition>"))
    scan = read_mrd(write_scan([line(random_samples(1, 8), 3)], header))
    assert notes_with(scan.notes, "The header announces 3 repetitions, the data hold 1.")


def test_3d(write_scan: WriteScan, random_samples: Draw, header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    data = random_samples(4, 6, 2, 8)
    header = header_xml(encoding_xml(matrix=(8, 6, 4), centres=(3, 2)))
    scan = read_mrd(
        write_scan([line(data[z, y], y, kspace_encode_step_2=z) for z in range(4) for y in range(6)], header)
    )
    torch.testing.assert_close(scan.kspace, torch.from_numpy(data.transpose(2, 0, 1, 3).copy())[None])
    assert scan.counts.shape == (1, 4, 6)
    assert scan.is_3d


def test_readouts_that_make_no_image_are_left_out_and_counted(write_scan: WriteScan, random_samples: Draw) -> None:
    other = [line(random_samples(1, 3), 0, flags=(flag,)) for flag in (23, 23, 24, 26, 27, 28, 29, 30, 31)]
    data = random_samples(2, 8)
    scan = read_mrd(write_scan([*other, line(data, 3)]))
    torch.testing.assert_close(scan.kspace[0, :, 3], torch.from_numpy(data))
    assert int(scan.counts.sum()) == 1
    assert scan.notes == (
        "Readouts left out by their flags: 2 navigation, 1 phase correction, 2 feedback, 1 dummy, 1 surface-coil correction, "
        "2 phase stabilisation.",
    )


@pytest.mark.parametrize("mode", ["", "embedded", "interleaved", "other"])
def test_embedded_calibration_lines_are_data(
    write_scan: WriteScan, random_samples: Draw, header_xml: HeaderXml, encoding_xml: HeaderXml, mode: str
) -> None:
    flags: dict[int, tuple[int, ...]] = {0: (), 2: (20,), 3: (21,), 4: (20,)}
    path = write_scan(
        [line(random_samples(1, 8), step, flags=flag) for step, flag in flags.items()],
        header_xml(encoding_xml(calibration=mode)),
    )
    scan = read_mrd(path)
    assert scan.calibration is None
    assert scan.counts.tolist() == [[1, 0, 1, 1, 1, 0]]


@pytest.mark.parametrize("mode", ["separate", "external"])
def test_separate_calibration_lines_get_their_own_grid(
    write_scan: WriteScan, random_samples: Draw, header_xml: HeaderXml, encoding_xml: HeaderXml, mode: str
) -> None:
    lines = random_samples(2, 2, 2, 8)
    calibration = [line(lines[s, i], 2 + i, slice=s, flags=(20,)) for s in (1, 0) for i in range(2)]
    repeated = [line(random_samples(2, 8), 2, slice=0, repetition=1, flags=(20,))]
    imaging = [line(random_samples(2, 8), k, slice=s, repetition=r) for r in range(2) for s in range(2) for k in (0, 3)]
    scan = read_mrd(write_scan([*calibration, *repeated, *imaging], header_xml(encoding_xml(calibration=mode))))
    assert scan.calibration is not None
    assert scan.counts.tolist() == [[1, 0, 0, 1, 0, 0]] * 4
    assert scan.calibration.of_frame == (0, 1, 0, 1)
    assert scan.calibration.fov_mm == (80.0, 60.0, 5.0)
    assert scan.calibration.counts.tolist() == [[1, 1]] * 2  # lines -1 and 0 about the centre
    torch.testing.assert_close(scan.calibration.kspace, torch.from_numpy(lines.transpose(0, 2, 1, 3).copy()))
    assert notes_with(scan.notes, "Left out: 1 repeated calibration line.")


def test_calibration_of_another_encoding_space(
    write_scan: WriteScan, random_samples: Draw, header_xml: HeaderXml, encoding_xml: HeaderXml
) -> None:
    low = encoding_xml(matrix=(4, 4, 1), fov=(160, 120, 5), recon_matrix=None, centres=(2, 0))
    calibration = [line(random_samples(1, 4), k, slice=4, encoding_space_ref=1, flags=(20,)) for k in range(4)]
    imaging = [line(random_samples(1, 8), 3, slice=s) for s in (0, 4)]
    scan = read_mrd(write_scan([*imaging, *calibration], header_xml(encoding_xml(), low)))
    assert scan.calibration is not None
    assert scan.kspace.shape == (2, 1, 6, 8)
    assert scan.calibration.kspace.shape == (1, 1, 4, 4)
    assert scan.calibration.fov_mm == (160.0, 120.0, 5.0)
    assert scan.calibration.of_frame == (0, 0)
    assert notes_with(scan.notes, "Slices [0] have no calibration lines; those of the nearest slice number were taken.")


def test_an_encoding_space_of_no_use_is_left_out_and_told(
    write_scan: WriteScan, random_samples: Draw, header_xml: HeaderXml, encoding_xml: HeaderXml
) -> None:
    readouts = [line(random_samples(1, 8), k) for k in range(3)] + [line(random_samples(1, 8), 3, encoding_space_ref=1)]
    scan = read_mrd(write_scan(readouts, header_xml(encoding_xml(), encoding_xml())))
    assert scan.counts.tolist() == [[1, 1, 1, 0, 0, 0]]
    assert notes_with(scan.notes, "Left out: 1 readout of encoding space 1, no part of these images")


BANDWIDTH = (
    "<acquisitionSystemInformation><relativeReceiverNoiseBandwidth>0.5</relativeReceiverNoiseBandwidth>"
    "</acquisitionSystemInformation>"
)


def test_noise_readouts_are_scaled_by_dwell_time_and_bandwidth(
    write_scan: WriteScan, random_samples: Draw, header_xml: HeaderXml
) -> None:
    noise = random_samples(2, 2, 16)
    readouts = [line(samples, 0, flags=(19,), sample_time_us=20, discard_pre=4) for samples in noise]
    other = line(random_samples(2, 8), 0, flags=(19,), sample_time_us=10)
    path = write_scan(
        [*readouts, other, line(random_samples(2, 8), 3, sample_time_us=2.5)], header_xml(extra=BANDWIDTH)
    )
    scan = read_mrd(path)
    assert scan.noise is not None
    expected = np.concatenate([noise[0][:, 4:], noise[1][:, 4:]], axis=1)
    torch.testing.assert_close(scan.noise.samples, torch.from_numpy(expected))
    assert scan.noise.variance_scale == pytest.approx(20 / (2.5 * 0.5))
    assert int(scan.counts.sum()) == 1
    assert scan.notes == ("Left out: 1 noise readout of another dwell time than 20 us.",)


def test_noise_of_unknown_bandwidth_and_dwell_time_takes_the_usual(write_scan: WriteScan, random_samples: Draw) -> None:
    scan = read_mrd(
        write_scan(
            [
                line(random_samples(1, 8), 0, flags=(19,), sample_time_us=0),
                line(random_samples(1, 8), 3, sample_time_us=0),
            ]
        )
    )
    assert scan.noise is not None
    assert scan.noise.variance_scale == pytest.approx(1 / 0.793)
    assert scan.header.sample_time_us is None
    assert notes_with(scan.notes, "no relativeReceiverNoiseBandwidth; the usual 0.793 was taken")
    assert notes_with(scan.notes, "no dwell time")


def frame_of(write_scan: WriteScan, samples: NDArray[np.complex64], **members: Any) -> tuple[Frame, tuple[str, ...]]:
    scan = read_mrd(write_scan([{**line(samples, 3), **members}]))
    return scan.frames[0], scan.notes


def test_zero_directions_leave_the_geometry_unknown(write_scan: WriteScan, random_samples: Draw) -> None:
    zero = (0, 0, 0)
    frame, notes = frame_of(
        write_scan, random_samples(1, 8), read_dir=zero, phase_dir=zero, slice_dir=zero, position=(1, 2, 3)
    )
    assert not frame.geometry_known
    assert (frame.read_dir, frame.position_mm) == ((1.0, 0.0, 0.0), (1.0, 2.0, 3.0))
    assert notes_with(notes, "No read and phase directions in 1 of 1 image: orientation unknown")


def test_directions_are_made_unit_vectors_and_keep_their_side(write_scan: WriteScan, random_samples: Draw) -> None:
    frame, notes = frame_of(
        write_scan,
        random_samples(1, 8),
        read_dir=(0, 3, 0),
        phase_dir=(0, 0, -2),
        slice_dir=(1, 0, 0),
        patient_table_position=(0, 0, -7),
        acquisition_time_stamp=99,
    )
    assert (frame.read_dir, frame.phase_dir, frame.slice_dir) == ((0, 1, 0), (0, 0, -1), (1, 0, 0))
    assert (frame.table_position_mm, frame.acquisition_time_stamp) == ((0, 0, -7), 99)
    assert frame.geometry_known
    assert notes == ()


def test_a_missing_slice_direction_is_the_cross_product(write_scan: WriteScan, random_samples: Draw) -> None:
    frame, notes = frame_of(write_scan, random_samples(1, 8), slice_dir=(0, 0, 0))
    assert (frame.slice_dir, frame.geometry_known, notes) == ((0, 0, 1), True, ())


def test_skewed_directions_are_straightened_and_told(write_scan: WriteScan, random_samples: Draw) -> None:
    frame, notes = frame_of(write_scan, random_samples(1, 8), phase_dir=(0.1, 1, 0))
    assert frame.phase_dir == pytest.approx((0, 1, 0))
    assert notes_with(notes, "not at right angles")


def test_parallel_or_infinite_directions_leave_the_geometry_unknown(
    write_scan: WriteScan, random_samples: Draw, tmp_path: Path
) -> None:
    assert not frame_of(write_scan, random_samples(1, 8), phase_dir=(1, 0, 0))[0].geometry_known
    (tmp_path / "scan.h5").unlink()
    assert not frame_of(write_scan, random_samples(1, 8), position=(np.nan, 0, 0))[0].geometry_known


def test_the_only_raw_data_are_found_under_any_name(write_scan: WriteScan, random_samples: Draw) -> None:
    scan = read_mrd(write_scan([line(random_samples(1, 8), 3)], group="2026-11-21"))
    assert scan.notes == ("There is no group 'dataset'; the only raw data, in group '2026-11-21', were read.",)


def test_a_group_may_be_named(write_scan: WriteScan, random_samples: Draw) -> None:
    data = random_samples(1, 8)
    write_scan([line(random_samples(1, 8), 3)])
    path = write_scan([line(data, 3)], group="second")
    torch.testing.assert_close(read_mrd(path, "second").kspace[0, :, 3], torch.from_numpy(data))


def test_warns_of_counters_that_make_an_image_of_every_line(write_scan: WriteScan, random_samples: Draw) -> None:
    readouts = [line(random_samples(1, 8), k % 6, repetition=k) for k in range(20)]
    scan = read_mrd(write_scan(readouts))
    assert scan.notes[0].startswith(
        "Warning: the readouts' counters make 20 images of one line each, of 6 that an image"
    )
    assert "The counter repetition takes 20 values" in scan.notes[0]


def test_compressed_records_are_read_too(write_scan: WriteScan, random_samples: Draw) -> None:
    data = random_samples(6, 2, 8)
    path = write_scan([line(data[k], k) for k in range(6)])
    with h5py.File(path, "a") as file:
        records = file["dataset/data"][:]
        del file["dataset/data"]
        file.create_dataset("dataset/data", data=records, dtype=acquisition_dtype, chunks=(4,), compression="gzip")
    torch.testing.assert_close(read_mrd(path).kspace[0], torch.from_numpy(data.transpose(1, 0, 2).copy()))


def test_members_are_found_by_name_in_any_packing(write_scan: WriteScan, random_samples: Draw) -> None:
    """As C++ packs them (with gaps), and the barest that can be placed, in another order and in double precision."""
    data = random_samples(2, 8)
    head, samples = acquisition_dtype["head"], acquisition_dtype["data"]
    gaps = np.dtype(
        {
            "names": ["head", "traj", "data"],
            "formats": [head, samples, samples],
            "offsets": [0, 344, 360],
            "itemsize": 376,
        }
    )
    bare_head = np.dtype(
        [
            ("idx", [("kspace_encode_step_1", "<i4")]),
            ("center_sample", "<i4"),
            ("active_channels", "<u2"),
            ("number_of_samples", "<u4"),
            ("flags", "<u8"),
        ]
    )
    bare = np.dtype([("data", h5py.vlen_dtype(np.float64)), ("head", bare_head)])
    for name, dtype in (("gaps.h5", gaps), ("bare.h5", bare)):
        scan = read_mrd(write_scan([line(data, 3)], dtype=dtype, name=name))
        torch.testing.assert_close(scan.kspace[0, :, 3], torch.from_numpy(data))


def test_real_phantom(shared_data: Path) -> None:
    scan = read_mrd(next((shared_data / "phantom_14ch_R3").glob("*.h5")))
    assert scan.kspace.shape == (1, 14, 144, 384)
    rows = 18 + np.array([*range(0, 31, 3), *range(31, 79), *range(81, 106, 3)])  # 72 - 54 = 18
    np.testing.assert_array_equal(np.flatnonzero(scan.counts[0]), rows)
    assert scan.frames[0].geometry_known
    assert scan.frames[0].read_dir == pytest.approx((-1, 0, 0), abs=1e-6)
    assert scan.frames[0].slice_dir == pytest.approx((0, 0, 1), abs=1e-6)
    assert scan.header.patient_position == "HFS"
    assert scan.notes == ()


def test_noise_scale_predicts_the_noise_of_real_imaging_lines(shared_data: Path) -> None:
    """Air beside the phantom, inside the receiver's passband, on lines far from the centre: variance as predicted from noise."""
    scan = read_mrd(next((shared_data / "phantom_14ch_R3").glob("*.h5")))
    assert scan.noise is not None
    assert scan.noise.variance_scale == pytest.approx(20 / (2.4 * 0.793), rel=1e-5)
    outer = scan.mask[0] & ((torch.arange(144) - 72).abs() > 40)
    hybrid = torch.fft.fftshift(torch.fft.ifft(scan.kspace[0][:, outer], norm="ortho"), dim=-1)
    air = torch.cat([hybrid[..., 72:96], hybrid[..., 288:312]], dim=-1).flatten(1)
    whiten = torch.linalg.inv(
        torch.linalg.cholesky(scan.noise.samples @ scan.noise.samples.mH / scan.noise.samples.shape[1])
    )
    variance = float((whiten @ air).abs().square().mean())
    assert variance == pytest.approx(scan.noise.variance_scale, rel=0.08)


GENERATOR = "ismrmrd_generate_cartesian_shepp_logan"


@pytest.mark.skipif(shutil.which(GENERATOR) is None, reason=f"{GENERATOR} (Debian ismrmrd-tools) is not installed")
@pytest.mark.parametrize("oversampling", [1, 2])
@pytest.mark.parametrize(
    ("acceleration", "width", "repetitions", "noise_and_trajectory"),
    [(1, 0, 1, False), (1, 0, 3, True), (2, 0, 1, True), (2, 16, 3, True), (4, 16, 1, False), (4, 32, 3, True)],
)
def test_generated_files_hold_the_fourier_transform_of_their_truth(
    tmp_path: Path, acceleration: int, width: int, repetitions: int, noise_and_trajectory: bool, oversampling: int
) -> None:
    path, size = tmp_path / "generated.h5", 64
    options = f"-m {size} -c 3 -a {acceleration} -w {width} -r {repetitions} -O {oversampling} -n 0 -o {path}".split()
    subprocess.run(
        [GENERATOR, *options, *(["-C", "-k"] if noise_and_trajectory else [])], check=True, capture_output=True
    )
    scan = read_mrd(path)
    n_frames = acceleration * repetitions
    assert scan.kspace.shape == (n_frames, 3, size, oversampling * size)
    assert [frame.repetition for frame in scan.frames] == list(range(n_frames))
    assert not scan.frames[0].geometry_known
    assert (scan.noise is not None) == noise_and_trajectory
    lines = np.arange(size)
    band = (lines >= (size - width) // 2) & (lines < (size + width) // 2)
    expected = np.stack([band | (lines % acceleration == frame % acceleration) for frame in range(n_frames)])
    np.testing.assert_array_equal(scan.counts, expected)
    with h5py.File(path) as file:
        stored = file["dataset/coil_images"][0]
    coil_images = torch.from_numpy(stored["real"] + 1j * stored["imag"]).to(torch.complex64)
    axes = (-2, -1)
    truth = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(coil_images, dim=axes), norm="ortho"), dim=axes)
    torch.testing.assert_close(scan.kspace, truth * scan.mask[:, None, :, None], rtol=1e-5, atol=1e-5)
