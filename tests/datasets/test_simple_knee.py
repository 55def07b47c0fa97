"""The drawn knee: areas are true, and its k-space is that of continuous shapes."""

from __future__ import annotations

import math

import torch

from knerve.datasets.demo_scan import kspace_of_raster, raster_axis_mm
from knerve.datasets.simple_knee import SIGNAL, Ellipse, knee_section, render


def raster(n: int) -> torch.Tensor:
    return (torch.arange(n, dtype=torch.float64) - n // 2) * 160 / n


def test_a_shape_covers_its_true_area_even_when_few_pixels_wide() -> None:
    axis = raster(320)  # 0.5 mm
    for a, b, tolerance in ((20.0, 7.0, 0.002), (3.0, 0.8, 0.05), (1.0, 1.0, 0.04)):
        image = render([Ellipse("fat", 3.3, -7.1, a, b, turn_deg=33)], axis, axis)
        area_mm2 = float(image.sum()) / SIGNAL["fat"] * 0.5**2
        assert abs(area_mm2 / (math.pi * a * b) - 1) < tolerance


def test_kspace_of_an_ellipse_matches_its_closed_form() -> None:
    matrix, a, b, x, y = (96, 80), 31.0, 18.0, 9.0, -14.0
    image = render([Ellipse("fat", x, y, a, b)], raster_axis_mm(matrix[0]), raster_axis_mm(matrix[1]))
    kspace = kspace_of_raster(image.to(torch.complex64), matrix)

    kx = (torch.arange(192) - 96) / 320.0
    ky = (torch.arange(80) - 40)[:, None] / 160.0
    q = torch.sqrt((a * kx) ** 2 + (b * ky) ** 2)
    bessel = torch.special.bessel_j1(2 * math.pi * q) / q
    bessel[q == 0] = math.pi
    exact = SIGNAL["fat"] * a * b * bessel * torch.exp(-2j * math.pi * (kx * x + ky * y))
    exact = exact * math.sqrt(192 * 80) / (320 * 160)  # what an orthonormal FFT of the pixels would give

    assert float((kspace - exact).norm() / exact.norm()) < 3e-3
    outer = (kx.abs() > 0.15) | (ky.abs() > 0.12)
    assert float((kspace - exact)[outer].norm() / exact[outer].norm()) < 0.1


def test_the_section_holds_the_structures_it_promises() -> None:
    axis = raster(640)
    image = render(knee_section(0.0), axis, axis)

    def signal_at(x: float, y: float) -> float:
        return float(image[int((axis - y).abs().argmin()), int((axis - x).abs().argmin())])

    assert signal_at(78, 78) == 0
    for tissue, x, y in [
        ("fat", 0.0, 57.0),
        ("marrow", 20.0, 0.0),
        ("muscle", 40.0, -19.5),
        ("void", -1.5, 40.5),
        ("vein", -4.5, 47.5),
        ("nerve", 42.3, 0.6),
        ("cartilage", 20.0, 30.5),
    ]:
        assert abs(signal_at(x, y) - SIGNAL[tissue]) < 1e-3, tissue


def test_neighbouring_sections_differ_and_texture_comes_from_its_seed() -> None:
    axis = raster(160)
    middle, above = (render(knee_section(level), axis, axis) for level in (0.0, 3.3))
    assert float((middle - above).abs().max()) > 0.05
    first, second, again = (render(knee_section(0.0), axis, axis, seed) for seed in (1, 2, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert 0.01 < float((first / middle.clamp(min=1e-3))[60:80, 60:80].std()) < 0.1
