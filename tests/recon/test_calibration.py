"""Where the calibration comes from, and what is said when there is none."""

from dataclasses import replace

import pytest
import torch

from knerve.recon.calibration import calibration_lines, central_box
from knerve.recon.errors import CalibrationError
from knerve.recon.scan import Calibration
from knerve.recon.settings import Settings


def test_central_box_in_one_direction():
    mask = torch.zeros(2, 20, dtype=torch.bool)
    mask[:, 7:14] = True
    mask[:, 2] = True
    mask[1, 13] = False
    assert central_box(mask) == (slice(7, 13),)


def test_central_box_in_two_directions():
    mask = torch.zeros(1, 16, 18, dtype=torch.bool)
    mask[0, 5:12, 4:14] = True
    assert central_box(mask) == (slice(5, 12), slice(4, 14))


def test_box_is_empty_without_the_centre():
    mask = torch.ones(1, 9, dtype=torch.bool)
    mask[0, 4] = False
    assert central_box(mask) == (slice(4, 4),)


def test_embedded_lines(make_scan, line_mask):
    scan = make_scan(counts=line_mask(96, 3, 20), n_slices=2, oversampling=2).scan
    block = calibration_lines(scan, Settings())
    assert block.kspace.shape == (2, 8, 20, 128)
    assert block.notes == ()
    assert calibration_lines(scan, Settings(calibration_width=12)).kspace.shape[2] == 12


def test_no_lines_is_an_error_that_says_what_to_do(make_scan, line_mask):
    scan = make_scan(counts=line_mask(96, 3, 0)).scan
    with pytest.raises(
        CalibrationError, match=r"embedded calibration lines: 1 fully sampled central lines, at least 6 .*zero-filled"
    ):
        calibration_lines(scan, Settings())


def test_interleaved_repetitions_calibrate_jointly(make_scan):
    lines = torch.arange(96)
    counts = torch.stack([lines % 2 == 0, lines % 2 == 1])
    scan = make_scan(counts=counts, n_slices=2).scan
    frames = tuple(replace(f, slice=0, repetition=r) for r, f in enumerate(scan.frames))
    block = calibration_lines(replace(scan, frames=frames), Settings())
    assert block.kspace.shape[:3] == (2, 8, 48)
    assert "calibrated on the mean over repetitions, assuming that nothing moved" in block.notes[0]
    torch.testing.assert_close(block.kspace[0], block.kspace[1])


def test_separate_lines_are_mapped_to_their_frames(make_scan, line_mask, randn):
    scan = make_scan(counts=line_mask(96, 3, 0), n_slices=3).scan
    separate = Calibration(randn((2, 8, 32, 80)), torch.ones(2, 32, dtype=torch.int32), (1, 0, 1), (80.0, 96.0, 5.0))
    block = calibration_lines(replace(scan, calibration=separate), Settings())
    torch.testing.assert_close(block.kspace[0], block.kspace[2])
    torch.testing.assert_close(block.kspace[1], separate.kspace[0, :, :, 8:72])
