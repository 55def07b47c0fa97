"""Heads of simulated readouts, as a scanner fills them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.mrd_writer import flag_bits, new_heads
from knerve.datasets.scan_order import ScanOrder
from knerve.datasets.scan_plane import ScanPlane

NOISE, FIRST_IN_SLICE, LAST_IN_SLICE, CALIBRATION_AND_IMAGING, LAST_IN_MEASUREMENT = 19, 7, 8, 21, 25
STAMPS_PER_S = 400  # a time stamp is 2.5 ms

Index = NDArray[np.int64]


def noise_heads(samples: NDArray[np.complex64], dwell_s: float) -> NDArray[Any]:
    """Heads of the noise readouts (readout, coil, sample), the first of the file."""
    heads = new_heads(samples, sample_time_us=dwell_s * 1e6)
    heads["flags"] = flag_bits(NOISE)
    heads["scan_counter"] = np.arange(len(heads))
    return heads


def imaging_heads(
    samples: NDArray[np.complex64],
    rows: Index,
    order: ScanOrder,
    planes: Sequence[ScanPlane],
    calibration: tuple[int, int],
    dwell_s: float,
    n_before: int,
) -> NDArray[Any]:
    """Heads of all readouts of one slice.

    Args:
        samples: (readout, coil, sample).
        rows: (readout), ascending: their places in `order`.
        order: of the whole scan.
        planes: of all slices.
        calibration: first and last + 1 line of the fully sampled block.
        dwell_s: time of a sample.
        n_before: readouts of the file before the first of `order`.
    """
    heads = new_heads(samples, sample_time_us=dwell_s * 1e6)
    lines = order.lines[rows]
    in_block = (lines >= calibration[0]) & (lines < calibration[1])
    heads["flags"][in_block] |= np.uint64(flag_bits(CALIBRATION_AND_IMAGING))
    heads["flags"][0] |= np.uint64(flag_bits(FIRST_IN_SLICE))
    heads["flags"][-1] |= np.uint64(flag_bits(LAST_IN_SLICE))
    if rows[-1] == len(order) - 1:
        heads["flags"][-1] |= np.uint64(flag_bits(LAST_IN_MEASUREMENT))
    heads["scan_counter"] = n_before + rows
    heads["acquisition_time_stamp"] = np.round(order.time_s[rows] * STAMPS_PER_S)
    heads["idx"]["kspace_encode_step_1"] = lines
    heads["idx"]["average"] = order.averages[rows]
    heads["idx"]["slice"] = order.slices[rows]
    heads["idx"]["segment"] = order.echoes[rows]
    plane = planes[int(order.slices[rows[0]])]
    heads["position"] = plane.centre_mm
    heads["read_dir"], heads["phase_dir"], heads["slice_dir"] = plane.read, plane.phase, plane.normal
    return heads
