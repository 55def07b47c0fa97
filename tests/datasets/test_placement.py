"""Readouts find their place in k-space: each rule on its own, on grids small enough to count by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from knerve.datasets.mrd_hdf5 import HEAD, Heads
from knerve.datasets.mrd_header import Encoding
from knerve.datasets.placement import Canvas, Plan, find_frames, plan_placement, shrink_to_lines
from knerve.recon.errors import RawDataError, UnsupportedError
from knerve.recon.scan import Grid

REVERSE = 1 << 21


def encoding(
    kx: int = 8, ky: int = 6, kz: int = 1, *, line: int | None = None, partition: int | None = None
) -> Encoding:
    fov = (10.0 * kx, 10.0 * ky, 10.0 * kz)
    grid = Grid((kx, ky, kz), fov, (kx, ky, kz), fov)
    return Encoding(grid, ky // 2 if line is None else line, kz // 2 if partition is None else partition)


def make_heads(n_readouts: int, *, n_samples: int | list[int] = 8, n_coils: int = 1, **members: Any) -> Heads:
    heads = np.zeros(n_readouts, HEAD)
    heads["number_of_samples"], heads["active_channels"] = n_samples, n_coils
    heads["center_sample"] = heads["number_of_samples"] // 2
    for name, values in members.items():
        heads[name] = values
    return heads


def plan_all(heads: Heads, encoding: Encoding) -> Plan:
    return plan_placement(heads, np.arange(len(heads)), encoding)


def place(heads: Heads, samples: NDArray[np.complex64], encoding: Encoding) -> tuple[NDArray[Any], NDArray[Any]]:
    """K-space and counts of readouts `samples (readout, coil, sample)`, added one window at a time."""
    plan = plan_all(heads, encoding)
    canvas = Canvas(plan)
    for window in range(len(plan.windows)):
        entries = np.flatnonzero(plan.window == window)
        canvas.add(entries, samples[entries])
    kspace, counts = canvas.finish()
    return kspace.numpy(), counts.numpy()


def ramp(n_samples: int = 8) -> NDArray[np.complex64]:
    """One readout of one coil with the values 1, 2, 3, ..."""
    return np.arange(1, n_samples + 1, dtype=np.complex64)[None, None]


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ({"n_samples": 8}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"n_samples": 6, "center_sample": 2}, [0, 0, 1, 2, 3, 4, 5, 6]),  # asymmetric echo
        ({"n_samples": 4, "center_sample": 2}, [0, 0, 1, 2, 3, 4, 0, 0]),
        ({"n_samples": 4, "center_sample": 0}, [0, 0, 0, 0, 1, 2, 3, 4]),  # half an echo
        ({"n_samples": 8, "discard_pre": 2, "discard_post": 1}, [0, 0, 3, 4, 5, 6, 7, 0]),
        (
            {"n_samples": 6, "center_sample": 2, "flags": REVERSE},
            [0, 6, 5, 4, 3, 2, 1, 0],
        ),  # sample 2 stays at column 4
        ({"n_samples": 6, "center_sample": 2, "flags": REVERSE, "discard_pre": 1}, [0, 6, 5, 4, 3, 2, 0, 0]),
        ({"n_samples": 8, "flags": REVERSE}, [0, 8, 7, 6, 5, 4, 3, 2]),  # sample 0 belongs to column 8, off the grid
    ],
)
def test_columns(head: dict[str, int], row: list[int]) -> None:
    heads = make_heads(1, **head, kspace_encode_step_1=3)
    kspace, _ = place(heads, ramp(head["n_samples"]), encoding())
    np.testing.assert_array_equal(kspace[0, 0, 3], row)


def test_sampled_kx_is_what_the_readouts_fill() -> None:
    assert plan_all(make_heads(1, n_samples=6, center_sample=2), encoding()).sampled_kx == (2, 8)
    assert plan_all(make_heads(1), encoding()).sampled_kx == (0, 8)


def test_partial_fourier_example_of_the_mrd_documentation() -> None:
    """Matrix 140, lines 0 to 83, centre 28: rows 42 to 125."""
    heads = make_heads(84, kspace_encode_step_1=np.arange(84))
    _, counts = place(heads, np.ones((84, 1, 8), np.complex64), encoding(ky=140, line=28))
    np.testing.assert_array_equal(np.flatnonzero(counts[0]), np.arange(42, 126))


def test_averages_are_means_with_a_count_for_each_line() -> None:
    heads = make_heads(5, kspace_encode_step_1=[1, 2, 1, 1, 2], average=[0, 0, 1, 2, 1])
    samples = np.array([1, 2, 4, 7, 4], np.complex64)[:, None, None] * np.ones((5, 1, 8), np.complex64)
    kspace, counts = place(heads, samples, encoding())
    np.testing.assert_array_equal(counts[0], [0, 3, 2, 0, 0, 0])
    np.testing.assert_allclose(kspace[0, 0, :, 0], [0, 4, 3, 0, 0, 0])


def test_averages_of_a_window_leave_the_other_columns_zero() -> None:
    heads = make_heads(2, n_samples=4, center_sample=0, kspace_encode_step_1=2)
    kspace, _ = place(heads, np.stack([ramp(4)[0], 3 * ramp(4)[0]]), encoding())
    np.testing.assert_array_equal(kspace[0, 0, 2], [0, 0, 0, 0, 2, 4, 6, 8])


def test_averages_may_arrive_in_separate_blocks() -> None:
    plan = plan_all(make_heads(3, kspace_encode_step_1=[1, 2, 1]), encoding())
    canvas = Canvas(plan)
    canvas.add(np.array([0]), ramp())
    canvas.add(np.array([1, 2]), 3 * np.repeat(ramp(), 2, axis=0))
    kspace, counts = canvas.finish()
    assert counts[0].tolist() == [0, 2, 1, 0, 0, 0]
    np.testing.assert_allclose(kspace[0, 0, 1].numpy(), 2 * ramp()[0, 0])
    np.testing.assert_allclose(kspace[0, 0, 2].numpy(), 3 * ramp()[0, 0])


def test_partitions_make_a_3d_scan() -> None:
    heads = make_heads(2, kspace_encode_step_1=[0, 5], kspace_encode_step_2=[0, 2])
    kspace, counts = place(heads, np.concatenate([ramp(), 2 * ramp()]), encoding(kz=4, partition=1))
    assert kspace.shape == (1, 1, 4, 6, 8)
    np.testing.assert_array_equal(np.argwhere(counts), [[0, 1, 0], [0, 3, 5]])
    np.testing.assert_array_equal(kspace[0, 0, 3, 5], 2 * ramp()[0, 0])


def test_a_single_partition_is_a_2d_scan() -> None:
    plan = plan_all(make_heads(2, kspace_encode_step_1=[0, 1], kspace_encode_step_2=2), encoding(kz=4))
    assert not plan.is_3d
    assert plan.notes == ("The header gives 4 partitions but only one is in the data: read as a 2-D scan.",)


def test_frames_are_sorted_with_the_repetition_slowest() -> None:
    heads = make_heads(5, repetition=[1, 0, 0, 0, 1], slice=[0, 2, 0, 2, 0], contrast=[0, 0, 1, 0, 0])
    found, first, frame_of = find_frames(heads)
    np.testing.assert_array_equal(found, [[0, 0, 0, 0, 2], [0, 0, 0, 1, 0], [1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(first, [1, 2, 0])
    np.testing.assert_array_equal(frame_of, [2, 0, 1, 0, 2])


def test_a_missing_centre_is_the_middle_where_nothing_else_fits() -> None:
    plan = plan_all(make_heads(1, center_sample=0), encoding())
    assert plan.sampled_kx == (0, 8)
    assert plan.notes == ("Readouts of 8 samples name no centre; the middle, 4, was taken.",)


def test_a_few_samples_off_the_grid_are_cut_and_told() -> None:
    heads = make_heads(1, n_samples=64, center_sample=30, kspace_encode_step_1=3)
    samples = np.arange(64, dtype=np.complex64)[None, None]
    kspace, _ = place(heads, samples, encoding(kx=64))
    np.testing.assert_array_equal(kspace[0, 0, 3], [0, 0, *range(62)])
    assert plan_all(heads, encoding(kx=64)).notes == (
        "2 samples of each readout lie outside the encoded matrix of 64 and were cut off.",
    )


def test_readouts_that_fill_different_columns_are_told() -> None:
    plan = plan_all(make_heads(2, n_samples=[8, 6], center_sample=[4, 2]), encoding())
    assert plan.sampled_kx == (0, 8)
    assert "fill different columns of k-space (0 to 7, 2 to 7)" in plan.notes[0]


@pytest.mark.parametrize(
    ("lines", "size", "rows"),
    [([12, 13, 14, 15], 5, [1, 2, 3, 4]), ([10, 11], 6, [0, 1]), ([13], 1, [0]), ([12, 13], 2, [0, 1])],
)
def test_shrinking_keeps_the_centre_in_the_middle(lines: list[int], size: int, rows: list[int]) -> None:
    plan = plan_all(make_heads(len(lines), kspace_encode_step_1=lines), encoding(ky=32, line=13))
    small = shrink_to_lines(plan)
    assert small.grid == (1, 1, 1, size, 8)
    assert small.rows.tolist() == rows


def test_lines_outside_the_matrix_are_refused() -> None:
    heads = make_heads(3, kspace_encode_step_1=[0, 5, 6])
    with pytest.raises(
        RawDataError, match=r"Readout 2 has kspace_encode_step_1 6; .* position 6 of an encoded matrix of 6 \(1 such"
    ):
        plan_all(heads, encoding())
    heads = make_heads(2, kspace_encode_step_2=[0, 1])
    with pytest.raises(RawDataError, match=r"Readout 1 has kspace_encode_step_2 1; .* of an encoded matrix of 1"):
        plan_all(heads, encoding())


def test_readouts_wider_than_the_matrix_are_refused() -> None:
    with pytest.raises(
        RawDataError, match=r"Readout 0 has 16 samples around sample 8: .* columns -4 to 11 of an encoded matrix of 8"
    ):
        plan_all(make_heads(1, n_samples=16), encoding())


def test_readouts_of_which_nothing_is_left_are_refused() -> None:
    with pytest.raises(
        RawDataError, match=r"Readout 0 has 8 samples, of which 5 \+ 3 are to be discarded: none is left"
    ):
        plan_all(make_heads(1, discard_pre=5, discard_post=3), encoding())


def test_absurd_sizes_are_refused_before_memory_is_taken() -> None:
    heads = make_heads(1, n_coils=64)
    huge = encoding(kx=8, ky=65535, kz=1)
    plan = replace(plan_all(heads, huge), grid=(10, 64, 1, 65535, 4096))
    with pytest.raises(
        RawDataError,
        match=r"too large: 10 images x 64 coils x 1 x 65535 x 4096 samples take 1280.0 GiB, more than 64",
    ):
        Canvas(plan)


def test_3d_calibration_of_a_2d_scan_is_refused() -> None:
    heads = make_heads(2, kspace_encode_step_2=[0, 1])
    with pytest.raises(UnsupportedError, match="calibration lines are a 3-D scan but the imaging lines are 2-D"):
        plan_placement(heads, np.arange(2), encoding(kz=2), is_3d=False)
