"""Where each pixel lies: the centre rule, partitions, stacks in any order, and raw data without geometry."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knerve.datasets.slice_planes import direction_letters, parallel_step, planes
from knerve.recon.images import ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader

ROW, COLUMN, NORMAL = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0].T


def _series(shape: tuple[int, ...], frames: tuple[Frame, ...], slab_mm: float) -> ImageSeries:
    ny, nx = shape[-2:]
    nz = shape[1] if len(shape) == 4 else 1
    matrix, fov = (nx, ny, nz), (nx * 0.7, ny * 1.1, slab_mm)
    return ImageSeries(
        image=torch.zeros(shape, dtype=torch.complex64),
        frames=frames,
        grid=Grid(matrix, fov, matrix, fov),
        header=ScanHeader(),
        method="cs",
        noise=NoiseReport("noise readouts", 1, (1.0,), 0.0),
        acceleration=1.0,
    )


def _frame(index: int, position: np.ndarray) -> Frame:
    return Frame(
        slice=index,
        position_mm=tuple(position),
        read_dir=tuple(ROW),
        phase_dir=tuple(COLUMN),
        slice_dir=tuple(NORMAL),
        geometry_known=True,
    )


@pytest.mark.parametrize(("ny", "nx"), [(8, 10), (7, 9)])
def test_pixel_at_the_middle_index_lies_at_the_position(ny: int, nx: int) -> None:
    position = np.array([12.0, -7.0, 55.0])
    (plane,) = planes(_series((1, ny, nx), (_frame(0, position),), 3.0))
    middle = plane.corner_mm + (nx // 2) * 0.7 * plane.row_dir + (ny // 2) * 1.1 * plane.column_dir
    np.testing.assert_allclose(middle, position, atol=1e-10)
    assert plane.spacing_mm == pytest.approx((0.7, 1.1))
    assert plane.spacing_between_mm is None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_partitions_run_along_slice_dir(sign: float) -> None:
    frame = replace(_frame(0, np.zeros(3)), slice_dir=tuple(sign * NORMAL))
    stack = planes(_series((1, 4, 6, 8), (frame,), 8.0))
    centres = [plane.corner_mm + 4 * 0.7 * ROW + 3 * 1.1 * COLUMN for plane in stack]
    np.testing.assert_allclose(centres, [sign * (k - 2) * 2.0 * NORMAL for k in range(4)], atol=1e-10)
    assert [plane.thickness_mm for plane in stack] == [2.0] * 4
    assert [plane.spacing_between_mm for plane in stack] == [2.0] * 4


def test_spacing_of_a_stack_in_any_order() -> None:
    frames = tuple(_frame(index, index * 3.3 * NORMAL) for index in (2, 0, 1))
    assert [plane.spacing_between_mm for plane in planes(_series((3, 6, 8), frames, 3.0))] == [pytest.approx(3.3)] * 3


@pytest.mark.parametrize("offset", [1.5 * NORMAL, 1.0 * ROW])
def test_uneven_or_sheared_stack_has_no_spacing(offset: np.ndarray) -> None:
    frames = (_frame(0, 0 * NORMAL), _frame(1, 3 * NORMAL), _frame(2, 6 * NORMAL + offset))
    stack = planes(_series((3, 6, 8), frames, 3.0))
    assert [plane.spacing_between_mm for plane in stack] == [None] * 3
    assert parallel_step(list(stack)) is None


def test_single_precision_directions_become_orthonormal() -> None:
    row, column = (1.00001 * vector.astype(np.float32).astype(float) for vector in (ROW, COLUMN))
    frame = replace(_frame(0, np.zeros(3)), read_dir=tuple(row), phase_dir=tuple(column))
    (plane,) = planes(_series((1, 6, 8), (frame,), 3.0))
    axes = np.stack([plane.row_dir, plane.column_dir, plane.stack_dir])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)


def test_slices_without_geometry_are_stacked_not_piled_up() -> None:
    stack = planes(_series((3, 6, 8), tuple(Frame(slice=index) for index in range(3)), 4.0))
    assert [plane.location_mm for plane in stack] == pytest.approx([0.0, 4.0, 8.0])


def test_direction_letters() -> None:
    assert direction_letters(np.array([1.0, 0.0, 0.0])) == "L"
    assert direction_letters(np.array([0.0, -0.6, 0.8])) == "HA"
    assert direction_letters(np.array([-0.05, 0.9, -0.43])) == "PF"
