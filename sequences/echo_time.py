"""Echo times: when the centre of k-space is read, and which plain spin echo has the same T2 contrast.

With low refocusing angles magnetisation spends part of the train along z, where it decays with T1 instead of T2: the
contrast is that of an earlier echo, TE_equiv, with exp(-TE_equiv/T2) = S(T1, T2) / S(no relaxation) at the same echo.

Busse 2006, doi:10.1002/mrm.20863.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError

Real = NDArray[np.float64]


def effective_echo_time_s(centre_echo: int, echo_spacing_s: float) -> float:
    """TE_eff: time of the echo (0-based) that reads the centre of k-space."""
    if centre_echo < 0:
        raise ProtocolError(f"The centre of k-space is read at echo {centre_echo}; the first echo has the index 0.")
    return (centre_echo + 1) * echo_spacing_s


def equivalent_echo_time_s(relaxing: Real, without_relaxation: Real, t2_s: Real) -> Real:
    """TE_equiv of every tissue.

    Args:
        relaxing: (tissue, ...): echo amplitudes with a fully relaxed start (infinite TR).
        without_relaxation: (...): echo amplitudes of the same train with infinite T1 and T2.
        t2_s: (tissue).

    Returns:
        (tissue, ...) in seconds; nan where the train itself gives no echo.
    """
    t2 = np.asarray(t2_s, dtype=np.float64).reshape(-1, *[1] * (np.ndim(relaxing) - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(relaxing) / np.abs(without_relaxation)
        return np.where(np.isfinite(ratio) & (ratio > 0), -t2 * np.log(ratio), np.nan)
