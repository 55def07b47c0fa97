"""Which lines a stream expects, and where its calibration lies."""

import pytest

from knerve.recon.settings import Settings
from knerve.recon.stream_lines import central_lines, shared_lines
from knerve.recon.stream_outline import Outline


def test_the_centre_keeps_its_place() -> None:
    for n_lines in (7, 24, 63, 64, 485):
        for settings in (Settings(), Settings(calibration_width=9), Settings(calibration_width=12)):
            central = central_lines(n_lines, settings)
            width = central.stop - central.start
            assert 0 <= central.start <= central.stop <= n_lines
            assert central.start + width // 2 == n_lines // 2
            assert width >= min(n_lines, settings.calibration_width or 48)


def test_one_slice_tells_the_lines_of_all(make_scan, line_mask) -> None:
    scan = make_scan(n_slices=1, n_coils=4, n_y=96, n_x=32).scan
    outline = Outline(5, 4, scan.grid, scan.sampled_kx)
    counts = line_mask(96, 3, 20).int()
    counts[:21] = counts[75:] = 0
    lines = shared_lines(counts, outline, Settings())
    assert counts[lines.calibrating].all()
    assert not counts[lines.calibrating.start - 1]
    assert not counts[lines.calibrating.stop]
    assert lines.acquired == slice(21, 75)
    assert lines.phase_lines is None
    assert lines.acceleration == pytest.approx(96 / int(counts.sum()))
