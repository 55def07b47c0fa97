"""The oracle itself: closed forms against each other, and coverage against areas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from knerve.datasets.analytic_phantom import AnalyticPhantom, Ellipse, Polygon
from knerve.datasets.scan_plane import ScanPlane
from knerve.recon.errors import SettingsError

PLANE = ScanPlane((5.0, -3.0, 20.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
FREQUENCIES = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 50))


def test_rectangle_follows_the_product_of_sincs() -> None:
    corners = ((-3.0, -1.0), (5.0, -1.0), (5.0, 2.0), (-3.0, 2.0))
    kx, ky = FREQUENCIES
    expected = 8 * np.sinc(8 * kx) * 3 * np.sinc(3 * ky) * np.exp(-2j * np.pi * (kx * 1 + ky * 0.5))
    np.testing.assert_allclose(Polygon("muscle", corners).spectrum(kx, ky), expected, atol=1e-12)
    assert Polygon("muscle", corners).spectrum(np.zeros(1), np.zeros(1))[0] == 24


def test_ellipse_is_the_limit_of_polygons() -> None:
    ellipse = Ellipse("muscle", 2.0, -1.0, 6.0, 3.0, 25.0)
    angles = 2 * np.pi * np.arange(3000) / 3000
    turn = math.radians(25)
    x, y = 6 * np.cos(angles), 3 * np.sin(angles)
    corners = np.stack([2 + x * math.cos(turn) - y * math.sin(turn), -1 + x * math.sin(turn) + y * math.cos(turn)], 1)
    polygon = Polygon("muscle", tuple(map(tuple, corners.tolist())))
    np.testing.assert_allclose(ellipse.spectrum(*FREQUENCIES), polygon.spectrum(*FREQUENCIES), atol=2e-4)
    middle = ellipse.spectrum(np.zeros(1), np.zeros(1))[0]
    assert middle == pytest.approx(math.pi * 18, rel=1e-6)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (Ellipse("muscle", 0.3, -0.2, 6.0, 3.0, 25.0), math.pi * 18),
        (Polygon("muscle", ((-3, -1), (5, -2), (1, 0.5), (2, 4))), 14.25),
    ],
)
def test_coverage_adds_up_to_the_area(shape: Ellipse | Polygon, area: float) -> None:
    phantom = AnalyticPhantom([shape], PLANE)
    x_mm, y_mm = np.arange(-40, 40) * 0.25, np.arange(-30, 30) * 0.4
    fractions = np.zeros((1, 60, 80), np.float32)
    phantom.add_fractions(fractions, PLANE, x_mm, y_mm, np.array([0.5]))
    assert fractions.sum() * 0.25 * 0.4 == pytest.approx(area / 2, rel=2e-3)
    assert 0 <= fractions.min() <= fractions.max() <= 0.5 + 1e-6


def test_what_lies_within_takes_the_place_of_what_is_around() -> None:
    outer = Ellipse("muscle", 0, 0, 8, 8)
    inner = Ellipse("nerve", 1, 1, 2, 2, within="muscle")
    phantom = AnalyticPhantom([outer, inner], PLANE)
    x_mm = y_mm = np.arange(-40, 40) * 0.25
    fractions = np.zeros((2, 80, 80), np.float32)
    phantom.add_fractions(fractions, PLANE, x_mm, y_mm, np.ones(2))
    np.testing.assert_allclose(fractions[:, 44, 44], [0, 1], atol=1e-6)
    assert fractions.sum() * 0.0625 == pytest.approx(math.pi * 64, rel=1e-3)
    assert fractions.sum(axis=0).max() <= 1 + 1e-6


def test_moved_plane_sees_the_phantom_moved() -> None:
    phantom = AnalyticPhantom([Ellipse("muscle", 0, 0, 3, 3)], PLANE)
    beside = ScanPlane((7.0, -3.0, 20.0), PLANE.read, PLANE.phase, PLANE.normal)
    kx, ky = FREQUENCIES
    moved = Ellipse("muscle", -2, 0, 3, 3).spectrum(kx, ky)
    np.testing.assert_allclose(phantom.spectrum("muscle", beside, kx, ky), moved, atol=1e-9)


def test_columns_end() -> None:
    phantom = AnalyticPhantom([Ellipse("muscle", 0, 0, 3, 3, depth_mm=(-1, 1))], PLANE)
    axis = np.arange(-5, 5) * 1.0
    for depth, is_there in ((0.0, True), (1.5, False)):
        fractions = np.zeros((1, 10, 10), np.float32)
        phantom.add_fractions(fractions, PLANE.shifted(depth), axis, axis, np.ones(1))
        assert bool(fractions.any()) is is_there


def test_oblique_plane_is_refused() -> None:
    phantom = AnalyticPhantom([Ellipse("muscle", 0, 0, 3, 3)], PLANE)
    coronal = ScanPlane(PLANE.centre_mm, (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
    with pytest.raises(SettingsError, match="parallel to its own"):
        phantom.spectrum("muscle", coronal, *FREQUENCIES)
