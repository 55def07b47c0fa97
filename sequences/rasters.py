"""The grid in time on which a scanner plays: gradients and blocks on one raster, pulses on a finer one after a dead time.

The values are those of common systems; a scanner with others needs another export.
"""

from __future__ import annotations

from knerve.sequences.quantities import refuse

RASTER_S = 1e-5  # of gradients and blocks
RF_RASTER_S = 1e-6
PULSE_STEP_S = 2e-5  # pulses last a whole number of these, so that their samples lie on the raster of the RF
RF_DEAD_TIME_S = 1e-4  # between the start of a block and its pulse
RF_RINGDOWN_S = 3e-5
TOLERANCE_S = 1e-9


def ticks(name: str, duration_s: float, step_s: float = RASTER_S) -> int:
    """A duration of the protocol, `name` its "section.field", in raster steps.

    Raises:
        ProtocolError: it is not a whole number of them.
    """
    count = round(duration_s / step_s)
    if abs(count * step_s - duration_s) > TOLERANCE_S:
        raise refuse(name, duration_s, f"a scanner needs whole steps of {step_s * 1e3:g} ms", max(count, 1) * step_s)
    return count


def with_parity(count: int, like: int) -> int:
    """The count, or one more, so that it is even or odd as the other."""
    return count + (count - like) % 2
