"""Partial Fourier is recognised, and the phase constraint fills what zeros cannot."""

from dataclasses import replace

import pytest
import torch

from knerve.gpu.fourier import to_image, to_kspace
from knerve.recon.partial_fourier import homodyne, partial_fourier_fraction
from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import Calibration
from knerve.recon.settings import Settings


@pytest.mark.parametrize(
    ("lines", "fraction"), [(range(0, 64), 1.0), (range(16, 64), 0.75), (range(0, 40), 0.625), (range(3, 64), 1.0)]
)
def test_fraction_of_the_symmetric_extent(lines, fraction):
    sampled = torch.zeros(64, dtype=torch.bool)
    sampled[list(lines)] = True
    assert partial_fourier_fraction(sampled) == pytest.approx(fraction)


@pytest.mark.parametrize("n", [8, 12, 16, 24, 32, 33])
@pytest.mark.parametrize("acceleration", [2, 3, 4])
def test_regular_patterns_are_symmetric_wherever_they_start(n, acceleration):
    for start in range(acceleration):
        sampled = torch.zeros(n, dtype=torch.bool)
        sampled[start::acceleration] = True
        assert partial_fourier_fraction(sampled) == 1.0


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_full_matrices_of_any_size_are_symmetric(n):
    assert partial_fourier_fraction(torch.ones(n, dtype=torch.bool)) == 1.0


@pytest.mark.parametrize("method", ["sense", "cs"])
def test_phase_constraint_beats_zero_filling(method, make_scan, relative_error):
    counts = torch.ones(96)
    counts[:34] = 0
    truth = make_scan(counts=counts, snr=60)
    errors = {}
    for constrained in (True, False):
        settings = Settings(method=method, phase_constraint=constrained, snr_map="none")
        images = reconstruct(truth.scan, settings)
        errors[constrained] = relative_error(images.image[0], truth.image[0])
    assert errors[True] < 0.8 * errors[False]
    assert "partial Fourier" in " ".join(reconstruct(truth.scan, Settings(method=method, snr_map="none")).notes)


def test_without_central_lines_nothing_is_constrained(make_scan, line_mask):
    """Separate calibration, every second line, one side missing: there is no centre that shows the phase."""
    counts = line_mask(96, 2, 0).clone()
    counts[:30] = False
    truth = make_scan(counts=counts, snr=60)
    full = make_scan(snr=60).scan
    separate = Calibration(full.kspace[:, :, 32:64], full.counts[:, 32:64], (0,), (80.0, 96.0, 5.0))
    images = reconstruct(replace(truth.scan, calibration=separate), Settings(snr_map="none"))
    assert "too few central lines show the image phase" in " ".join(images.notes)


@pytest.mark.parametrize(("first", "last"), [(20, 64), (0, 44)])
def test_homodyne_restores_a_real_object_with_smooth_phase(first, last):
    x = torch.linspace(-1, 1, 64)
    image = torch.polar(((x.abs() < 0.6).float() + 0.5 * ((x - 0.2).abs() < 0.05)), 0.8 * x)[None]
    kspace = to_kspace(image, (-1,))
    kspace[:, :first] = 0
    kspace[:, last:] = 0
    zero_filled = to_image(kspace, (-1,))
    completed = homodyne(zero_filled, first, last, 64, dim=1)
    error = torch.linalg.vector_norm(completed.abs() - image.abs())
    assert float(error) < 0.5 * float(torch.linalg.vector_norm(zero_filled.abs() - image.abs()))
