"""Sampling patterns of 3-D scans: random, denser in the centre, no two points close to each other.

Drawn by SigPy after Bridson 2007, doi:10.1145/1278780.1278807; why it suits MRI: Dwork 2021, doi:10.1016/j.mri.2020.11.012.
"""

from __future__ import annotations

import numpy as np

from knerve.sequences.errors import ProtocolError
from knerve.sequences.sampling import Mask


def poisson_disc(shape: tuple[int, int], acceleration: float, *, n_calibration: int = 24, seed: int = 0) -> Mask:
    """Variable-density Poisson disc within the ellipse, for the two phase encodes of 3-D scans.

    Args:
        shape: (kz, ky).
        acceleration: grid points over points read; the ellipse alone gives 4/π.
        n_calibration: side of the fully sampled square about the centre.
        seed: of the pattern.

    Returns:
        (kz, ky) bool, centre at index n // 2.

    Raises:
        ProtocolError: SigPy is not installed, or finds no such pattern.
    """
    if not acceleration > 1:
        raise ProtocolError(
            f"The acceleration is {acceleration}; a Poisson disc needs more than 1. Nearest valid value: 1.3."
        )
    try:
        from sigpy.mri import poisson  # here, because it takes seconds to import and only 3-D scans need it
    except ImportError as missing:
        raise ProtocolError(
            "Poisson-disc patterns are drawn by SigPy, which is not installed: pip install sigpy"
        ) from missing
    calibration = tuple(min(n_calibration, n) for n in shape)
    try:
        drawn = poisson(shape, acceleration, calib=calibration, dtype=float, seed=seed, tol=0.02 * acceleration)
    except ValueError as refused:
        raise ProtocolError(
            f"No Poisson-disc pattern of {shape[0]} x {shape[1]} points with a centre of {calibration[0]} x {calibration[1]} "
            f"comes within 2 % of acceleration {acceleration:g}. Try a smaller centre, or an acceleration nearer to 4."
        ) from refused
    return np.asarray(drawn, dtype=np.bool_)
