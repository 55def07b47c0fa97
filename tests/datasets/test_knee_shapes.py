"""The knee's tools: distances to outlines, solids, tubes and textures."""

from __future__ import annotations

import numpy as np
import pytest

from knerve.datasets.knee.fields import Field, Grid, as_distance
from knerve.datasets.knee.noise import textures
from knerve.datasets.knee.outlines import closed_curve, loft
from knerve.datasets.knee.sampling import field_on_plane, outline_distance
from knerve.datasets.knee.surfaces import keep_in, keep_off, lay_on
from knerve.datasets.knee.tubes import arc_length_mm, smooth_course, tube, wavy

GRID = Grid((-15.0, -15.0, -15.0), (15.0, 15.0, 15.0))


def ball(radius: float) -> Field:
    x, y, z = GRID.mesh()
    return Field(GRID, (np.sqrt(x**2 + y**2 + z**2) - radius).astype(np.float32))


def circle(radius: float, n: int = 16) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return radius * np.stack([np.cos(angle), np.sin(angle)], -1)


def test_the_distance_to_a_drawn_circle():
    x, y = np.linspace(-8, 8, 9), np.linspace(-8, 8, 7)
    out = np.empty((7, 9), np.float32)
    outline_distance(closed_curve(circle(5.0)), x, y, out)
    np.testing.assert_allclose(out, np.hypot(x[None], y[:, None]) - 5, atol=0.05)


def test_a_loft_between_two_circles_is_a_cone():
    field = loft(GRID, {-10.0: circle(4.0), 10.0: circle(8.0)})
    on_surface = np.array([[4.0, 0, -10], [0, 6.0, 0], [8.0, 0, 10]])
    np.testing.assert_allclose(field.at(on_surface), 0, atol=0.1)


def test_an_ellipsoid_becomes_a_distance():
    x, y, z = GRID.mesh()
    level = 4 * (np.sqrt((x / 10) ** 2 + (y / 6) ** 2 + (z / 6) ** 2) - 1)
    field = Field(GRID, as_distance(level.astype(np.float32), GRID.spacing, n_steps=20))
    np.testing.assert_allclose(field.at(np.array([[12.0, 0, 0], [0, 8.0, 0], [0, 0, -4.0]])), [2, 2, -2], atol=0.25)


def test_a_field_is_read_smoothly_on_a_plane_and_goes_on_beyond_its_grid():
    field = ball(8.0)
    out = np.empty((3, 5), np.float32)
    start, step_u, step_v = np.array([-10.0, 2.3, 0.2]), np.array([5.0, 0, 0]), np.array([0, 3.0, 0])
    field_on_plane(field.values, np.array(GRID.low), np.array(GRID.spacing), start, step_u, step_v, out)
    points = start + np.arange(5)[None, :, None] * step_u + np.arange(3)[:, None, None] * step_v
    expected = np.linalg.norm(points, axis=-1) - 8
    np.testing.assert_allclose(out, expected, atol=0.15)
    far = np.empty((1, 1), np.float32)
    field_on_plane(
        field.values, np.array(GRID.low), np.array(GRID.spacing), np.array([60.0, 0, 0]), step_u, step_v, far
    )
    assert far[0, 0] > 40


def test_courses_are_laid_on_and_kept_off_surfaces():
    points = np.array([[9.0, 0, 0], [0, 5.0, 0], [0, 0, -11.0]])
    np.testing.assert_allclose(np.linalg.norm(lay_on(points, ball(8.0), 1.5), axis=1), 9.5, atol=0.05)
    np.testing.assert_allclose(np.linalg.norm(keep_off(points, ball(8.0), 1.5), axis=1), [9.5, 9.5, 11], atol=0.05)
    np.testing.assert_allclose(np.linalg.norm(keep_in(points, ball(8.0), 1.5), axis=1), [6.5, 5, 6.5], atol=0.05)


def test_a_wavy_course_keeps_its_ends():
    straight = smooth_course([[0, 0, 0], [0, 0, 30], [0, 0, 60]], 1.0)
    swaying = wavy(straight, np.random.default_rng(0), 1.0)
    np.testing.assert_array_equal(swaying[[0, -1]], straight[[0, -1]])
    assert 0.2 < np.abs(swaying - straight).max() < 5
    assert arc_length_mm(straight)[-1] == pytest.approx(60)


def test_a_tube_s_half_axes_lie_across_it():
    shape = tube(smooth_course([[0, 0, 0], [5, 2, 20], [0, 0, 40]]), (2.0, 1.0), (0.0, 0.0, 1.0))
    along = np.gradient(shape.points, axis=0)
    np.testing.assert_allclose((along * shape.wide).sum(1) / np.linalg.norm(along, axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(shape.wide, axis=1), 1)


def test_textures_are_seeded_and_neutral():
    first = textures(5)
    assert first.clouds.mean() == pytest.approx(0, abs=0.1)
    assert first.clouds.std() == pytest.approx(1, abs=0.01)
    assert first.walls.min() >= 0
    assert not np.array_equal(first.clouds, textures(6).clouds)
