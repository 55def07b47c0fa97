"""The inversion before each excitation in time: pulse, spoilers, and the wait until the inversion time is over.

The inversion time runs from the middle of the inversion to the middle of the excitation, and both lie on the raster. A STIR
inversion is played with the gradient of the excitation, so that whatever is off resonance, fat above all, is inverted in the
place where it is excited. The spoilers wind the slice and the phase-encoding direction; no echo unwinds the latter.
"""

from __future__ import annotations

from dataclasses import dataclass

from knerve.sequences.gradient_lobes import Limits, Lobe, lobe, shortest_lobe
from knerve.sequences.quantities import refuse
from knerve.sequences.rasters import PULSE_STEP_S, RASTER_S, RF_DEAD_TIME_S, RF_RINGDOWN_S, ticks, with_parity
from knerve.sequences.sections import Sections

SLICE_CYCLES = 12  # of the spoiler over the slice
EDGES_OF_KSPACE = 3  # of the spoiler along the phase encodes


@dataclass(frozen=True)
class SlicePlateau:
    """The slice gradient of the excitation: its height in Hz/m, and raster steps before, of and in its ramps."""

    gradient: float
    lead: int
    flat: int
    ramp: int


@dataclass(frozen=True)
class InversionTiming:
    """Durations in s, gradients in Hz/m.

    Attributes:
        gradient: of the slice during the pulse, 0 where the pulse selects a spectrum.
        lead_s: from the start of the shot to the plateau with the pulse in its middle; ramps take `ramp_s`.
        plateau_s: of the gradient; `tail_s` after it the spoilers begin.
        spoiler: slice gradient after the pulse; `spoiler_phase` plays at the same time.
        wait_s: from the spoilers to the excitation's block.
        middle_s: from the start of the shot to the middle of the pulse.
    """

    gradient: float
    lead_s: float
    plateau_s: float
    ramp_s: float
    tail_s: float
    spoiler: Lobe
    spoiler_phase: Lobe
    wait_s: float
    middle_s: float


def inversion_timing(protocol: Sections, excitation: SlicePlateau, limits: Limits) -> InversionTiming | None:
    """Time the inversion of a protocol; None where there is none.

    Raises:
        ProtocolError: a duration is not on the raster, or the inversion time is too short for pulse and spoilers.
    """
    asked = protocol.fat_suppression
    if asked.inversion_time_s is None:
        return None
    inversion_time = ticks("fat_suppression.inversion_time_s", asked.inversion_time_s)
    pulse = 2 * ticks("fat_suppression.inversion_duration_s", asked.inversion_duration_s, PULSE_STEP_S)
    plateau = with_parity(pulse, excitation.flat)
    is_selective = asked.method == "stir"
    ramp = excitation.ramp if is_selective else 0
    lead, tail = max(ramp, round(RF_DEAD_TIME_S / RASTER_S)), max(ramp, round(RF_RINGDOWN_S / RASTER_S))
    areas = (
        SLICE_CYCLES / protocol.geometry.slice_thickness_m,
        EDGES_OF_KSPACE / (2 * protocol.geometry.voxel_phase_m),
    )
    spoiler = 2 * max(shortest_lobe(area, 0.0, 0.0, limits) for area in areas)  # twice the shortest: gentle
    least = (plateau + excitation.flat) // 2 + tail + spoiler + excitation.lead
    if inversion_time < least:
        reason = f"half the inversion pulse, its spoilers and half the excitation take {least * RASTER_S * 1e3:.5g} ms"
        raise refuse("fat_suppression.inversion_time_s", asked.inversion_time_s, reason, least * RASTER_S)
    return InversionTiming(
        gradient=excitation.gradient if is_selective else 0.0,
        lead_s=lead * RASTER_S,
        plateau_s=plateau * RASTER_S,
        ramp_s=ramp * RASTER_S,
        tail_s=tail * RASTER_S,
        spoiler=lobe(areas[0], 0.0, 0.0, spoiler, limits),
        spoiler_phase=lobe(areas[1], 0.0, 0.0, spoiler, limits),
        wait_s=(inversion_time - least) * RASTER_S,
        middle_s=(lead + plateau / 2) * RASTER_S,
    )
