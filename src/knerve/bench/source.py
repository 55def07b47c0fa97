"""Where the benchmark's scans come from: the one function to change when a better simulator is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from knerve.bench.cases import Case
from knerve.datasets.demo_scan import write_demo_scan

BRIGHT = 0.1  # of the brightest tissue: fainter than any tissue but bone and tendon


@dataclass(frozen=True)
class Truth:
    """What was simulated, (y, x): root sum of squares of the whitened channels, and where the object is."""

    magnitude: NDArray[np.float32]
    inside: NDArray[np.bool_]


def simulate(case: Case, raw: Path) -> Truth:
    """Write one slice of the synthetic knee as a raw file, oversampled along the readout, with noise readouts.

    Raises:
        OutputError: the file cannot be written.
    """
    write_demo_scan(
        raw,
        n_slices=1,
        seed=case.seed,
        matrix=(case.n_readout, case.n_phase_encodes),
        acceleration=case.acceleration,
        n_calibration=case.n_calibration,
        n_coils=case.n_coils,
        muscle_snr=case.muscle_snr,
    )
    with h5py.File(raw) as file:
        magnitude: NDArray[np.float32] = file["truth/snr"][0]
    return Truth(magnitude, inside_of(magnitude))


def inside_of(magnitude: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where an image (y, x) shows the leg."""
    return filled(magnitude > BRIGHT * np.percentile(magnitude, 99.5))


def filled(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All pixels that have bright ones on both sides along both axes: the leg with its dark bones and tendons."""
    inside = np.ones_like(bright)
    for axis in (0, 1):
        before = np.logical_or.accumulate(bright, axis)
        after = np.flip(np.logical_or.accumulate(np.flip(bright, axis), axis), axis)
        inside &= before & after
    return inside
