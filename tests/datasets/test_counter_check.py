"""Images of one line each are warned of; series of whole images are not."""

from __future__ import annotations

import numpy as np
import pytest

from knerve.datasets.counter_check import warnings_of_counters
from knerve.datasets.mrd_hdf5 import HEAD
from knerve.datasets.mrd_header import Encoding
from knerve.datasets.placement import plan_placement
from knerve.datasets.wording import counted
from knerve.recon.scan import Grid


def _warnings(n_readouts: int, ky: int = 8, **counters: object) -> tuple[str, ...]:
    heads = np.zeros(n_readouts, HEAD)
    heads["number_of_samples"], heads["active_channels"], heads["center_sample"] = 8, 1, 4
    for name, values in counters.items():
        heads[name] = values
    grid = Grid((8, ky, 1), (8.0, 8.0, 8.0), (8, ky, 1), (8.0, 8.0, 8.0))
    return warnings_of_counters(heads, plan_placement(heads, np.arange(n_readouts), Encoding(grid, ky // 2, 0)))


def test_a_counter_that_runs_with_the_lines() -> None:
    (warning,) = _warnings(40, kspace_encode_step_1=np.arange(40) % 8, set=np.arange(40))
    assert warning.startswith(
        "Warning: the readouts' counters make 40 images of one line each, of 8 that an image has."
    )
    assert "The counter set takes 40 values" in warning


def test_averages_of_the_one_line_are_still_one_line() -> None:
    assert _warnings(80, kspace_encode_step_1=3, repetition=np.arange(80) // 2)


@pytest.mark.parametrize(
    "counters",
    [
        {"repetition": np.arange(160) // 8, "kspace_encode_step_1": np.arange(160) % 8},  # whole images
        {"repetition": np.arange(160) // 16, "kspace_encode_step_1": np.arange(160) % 8},  # few images
    ],
)
def test_whole_images_are_fine(counters: dict[str, object]) -> None:
    assert _warnings(160, **counters) == ()


def test_single_lines_are_fine_where_that_is_the_matrix_or_they_are_few() -> None:
    assert _warnings(40, ky=1, repetition=np.arange(40)) == ()
    assert _warnings(8, repetition=np.arange(8)) == ()


def test_numbers_agree_with_their_nouns() -> None:
    assert [counted(n, "slice") for n in (0, 1, 2)] == ["0 slices", "1 slice", "2 slices"]
