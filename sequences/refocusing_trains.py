"""Refocusing flip angles along the echo train, in degrees.

Low angles save energy and store magnetisation along z, where it decays with T1; high angles around the centre of k-space buy
that signal back. Every train begins with a ramp of one pulse, halfway between 180 and the next angle, which brings the
echoes close to the pseudo steady state of the angles that follow (Hennig 1988, doi:10.1016/0022-2364(88)90128-X).
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError

Angles = NDArray[np.float64]


def constant_train(n_echoes: int, angle_deg: float, ramp: bool = False) -> Angles:
    """The same angle for every echo; with `ramp` the first is halfway to 180."""
    _check(n_echoes, angle_deg)
    train = np.full(n_echoes, float(angle_deg))
    if ramp:
        train[0] = (180 + angle_deg) / 2
    return train


def traps_train(
    n_echoes: int, centre_echo: int, low_deg: float = 60.0, high_deg: float = 120.0, first_deg: float = 150.0
) -> Angles:
    """Smooth transitions between pseudo steady states: from `first_deg` down, up to `high_deg` at `centre_echo`, and down again.

    Args:
        n_echoes: length of the train.
        centre_echo: index of the echo that reads the centre of k-space.
        low_deg: halfway to the centre, and at the end.
        high_deg: at the centre.
        first_deg: of the first pulse.

    Hennig 2003, doi:10.1002/mrm.10391. Cosine ramps are our choice; the paper leaves the transition open.
    """
    for angle in (low_deg, high_deg, first_deg):
        _check(n_echoes, angle)
    if not 3 <= centre_echo < n_echoes:
        raise ProtocolError(
            f"The centre echo is {centre_echo} of {n_echoes}; such a train needs at least 3 echoes before the centre: give an "
            f"index from 3 to {n_echoes - 1}, or use a constant train."
        )
    knots = ((0, first_deg), (centre_echo // 2, low_deg), (centre_echo, high_deg), (n_echoes - 1, low_deg))
    train = np.empty(n_echoes)
    for (start, from_deg), (stop, to_deg) in pairwise(knots):
        phase = np.pi * np.arange(stop - start + 1) / max(stop - start, 1)
        train[start : stop + 1] = to_deg + (from_deg - to_deg) * (1 + np.cos(phase)) / 2
    train[centre_echo] = high_deg
    return train


def hyperecho_train(angles_deg: Angles | list[float]) -> Angles:
    """Any angles, a 180, and the same angles mirrored with opposite sign: the last echo is the whole magnetisation.

    n angles make 2 n + 1 echoes. Hennig and Scheffler 2001, doi:10.1002/mrm.1153.
    """
    first = np.asarray(angles_deg, dtype=np.float64)
    return np.concatenate([first, [180.0], -first[::-1]])


def relative_energy(train_deg: Angles) -> float:
    """RF energy of a train of one pulse shape, relative to 180 degrees throughout."""
    return float(np.mean((np.asarray(train_deg) / 180) ** 2))


def _check(n_echoes: int, angle_deg: float) -> None:
    if n_echoes < 1:
        raise ProtocolError(f"The train has {n_echoes} echoes; it needs at least 1.")
    if not (math.isfinite(angle_deg) and 0 < angle_deg <= 180):
        raise ProtocolError(
            f"A refocusing angle of {angle_deg} degrees was asked for; it must lie above 0 and up to 180."
        )
