"""Phase resolution below 100 % is told apart from random gaps at the edge."""

from dataclasses import replace

import torch

from knerve.recon.extent import acquired_size, crop_to_acquired


def _mask(n, places):
    mask = torch.zeros(n, dtype=torch.bool)
    mask[list(places)] = True
    return mask


def test_full_extent_stays():
    assert acquired_size(torch.ones(96, dtype=torch.bool)) == 96


def test_reduced_phase_resolution_is_cropped_symmetrically():
    assert acquired_size(_mask(144, range(18, 124, 3))) == 108


def test_missing_last_random_lines_do_not_crop():
    assert acquired_size(_mask(100, [2, 9, 15, 30, *range(44, 56), 70, 81, 88])) == 100


def test_partial_fourier_keeps_the_longer_side():
    assert acquired_size(_mask(100, range(40, 100))) == 100


def test_scan_is_cropped_about_its_centre(make_scan):
    counts = torch.zeros(96)
    counts[20:76] = 1
    scan = make_scan(counts=counts).scan
    cropped = crop_to_acquired(scan)
    assert cropped.kspace.shape[2] == 56
    torch.testing.assert_close(cropped.kspace[:, :, 28], scan.kspace[:, :, 48])
    assert crop_to_acquired(replace(scan, counts=torch.ones_like(scan.counts))).kspace is scan.kspace
