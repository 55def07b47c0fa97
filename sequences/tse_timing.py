"""The gradients of one turbo-spin-echo shot: every duration on the raster, every moment balanced.

    excite, balance, [refocus, encode, read, rewind] x echoes

The slice gradient stays on from crusher to crusher. From a refocusing pulse to the echo it winds a whole number of cycles over
the slice, at least six; the lobe after the excitation winds as many before the first pulse and rephases the slice in the same
move, while the readout is prephased by half its area. So every half echo spacing has the same moments, as CPMG asks.
Pulses and readouts lie in the middle of their plateaus; an odd echo spacing makes excitation and readout odd. The middle of the
excitation is the moment from which its gradient has to be rephased, a little before the middle of its samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from knerve.sequences.errors import ProtocolError
from knerve.sequences.rf_pulse import RfPulse
from knerve.sequences.sections import Sections
from knerve.sequences.slice_profile_epg import SlicePulses

RASTER_S = 1e-5  # of gradients and blocks
ADC_RASTER_S = 1e-7
RF_DEAD_TIME_S = 1e-4  # between the start of a block and its pulse
RF_RINGDOWN_S = 3e-5
ADC_DEAD_TIME_S = 1e-5
ADC_DELAY_STEP_S = 1e-6
CRUSHER_CYCLES = 6  # over the slice thickness; with 4, echoes of off-centre slices were measured to differ by 0.7 %
SPOILER_CYCLES = 8
READ_OVERSAMPLING = 2
PULSE_STEP_S = 2e-5  # pulses last a whole number of these, so that their samples lie on the raster of the RF


@dataclass(frozen=True)
class Limits:
    """What one gradient axis can do, in Hz/m and Hz/m/s."""

    gradient: float
    slew: float


@dataclass(frozen=True)
class Lobe:
    """A gradient that runs from one amplitude over a plateau to another.

    Attributes:
        start: amplitude at its beginning, in Hz/m; `plateau` and `end` follow.
        ramp_s: duration of either ramp.
        duration_s: of the whole.
    """

    start: float
    plateau: float
    end: float
    ramp_s: float
    duration_s: float

    @property
    def backwards(self) -> Lobe:
        """The same in reversed time."""
        return Lobe(self.end, self.plateau, self.start, self.ramp_s, self.duration_s)

    @property
    def points(self) -> tuple[list[float], list[float]]:
        """Times in s and amplitudes in Hz/m of the corners."""
        times = [0.0, self.ramp_s, self.duration_s - self.ramp_s, self.duration_s]
        return times, [self.start, self.plateau, self.plateau, self.end]


@dataclass(frozen=True)
class TseTiming:
    """Durations in s, gradients in Hz/m and areas in 1/m of a shot.

    Attributes:
        excitation_flat_s: plateau of the slice gradient; it begins `lead_s` after the start of the shot, its ramps take
            `excitation_ramp_s`, and `tail_s` after it the lobe `balance` begins.
        balance: slice gradient from the excitation to the first refocusing plateau.
        prephaser: readout gradient meanwhile.
        refocus_s: plateau of a refocusing pulse.
        crusher: slice gradient from the refocusing plateau to rest; before the pulse the same backwards.
        encode_ramp_s: ramps of the phase-encoding lobe, which lasts as long as the crusher.
        readout_s: plateau of the readout gradient, with ramps of `readout_ramp_s` before and after it.
        adc_delay_s: from the start of the plateau; the sample n / 2 lies at the echo.
        spoiler: slice gradient after the last readout.
    """

    excitation_gradient: float
    excitation_flat_s: float
    excitation_ramp_s: float
    lead_s: float
    tail_s: float
    balance: Lobe
    prephaser: Lobe
    refocusing_gradient: float
    refocus_s: float
    crusher: Lobe
    encode_ramp_s: float
    readout_gradient: float
    readout_s: float
    readout_ramp_s: float
    n_samples: int
    dwell_s: float
    adc_delay_s: float
    spoiler: Lobe
    shot_s: float


def ticks(name: str, duration_s: float, step_s: float = RASTER_S) -> int:
    """A duration of the protocol in raster steps.

    Raises:
        ProtocolError: it is not a whole number of them.
    """
    count = round(duration_s / step_s)
    if abs(count * step_s - duration_s) > 1e-9:
        field = name.removesuffix("_s") + "_ms"
        nearest = round(max(count, 1) * step_s * 1e3, 6)
        raise ProtocolError(
            f"{field} is {duration_s * 1e3:g}; a .seq file needs whole steps of {step_s * 1e3:g} ms. "
            f"Nearest valid value: {nearest:g}.",
            field=field,
            nearest=nearest,
        )
    return count


def tse_timing(protocol: Sections, pulses: SlicePulses, limits: Limits) -> TseTiming:
    """Time the gradients of a protocol.

    Raises:
        ProtocolError: a duration is not on the raster, or the echo spacing is too short.
    """
    train, thickness_m = protocol.echo_train, protocol.geometry.slice_thickness_m
    spacing = ticks("echo_train.echo_spacing_s", train.echo_spacing_s)
    excitation_gradient = pulses.excitation.bandwidth_hz / thickness_m
    refocusing_gradient = pulses.refocusing.bandwidth_hz / (thickness_m * pulses.refocusing_width)
    refocus = _pulse_ticks("refocusing", pulses.refocusing) + 2 * round(RF_DEAD_TIME_S / RASTER_S)
    flat = _with_parity(_excitation_ticks(pulses.excitation), spacing - refocus)
    ramp = _ramp_ticks(excitation_gradient, limits)
    n_samples, dwell_s, readout_gradient = _sampling(protocol)
    readout = math.ceil(((n_samples + 1) * dwell_s + 2 * ADC_DEAD_TIME_S + ADC_DELAY_STEP_S) / RASTER_S - 1e-6)
    readout = _with_parity(readout, spacing - refocus)
    read_ramp = _ramp_ticks(readout_gradient, limits)

    half_slice = refocusing_gradient * refocus * RASTER_S / 2
    cycles = max(CRUSHER_CYCLES, math.ceil(half_slice * thickness_m))
    crusher_area = cycles / thickness_m - half_slice
    rephasing = excitation_gradient * (flat + ramp) * RASTER_S / 2
    prephasing = readout_gradient * (readout + read_ramp) * RASTER_S / 2
    encoding = 1 / (2 * protocol.geometry.voxel_phase_m)

    between = (spacing - refocus - readout) // 2
    tail = max(ramp, round(RF_RINGDOWN_S / RASTER_S))
    before = (spacing - flat - refocus) // 2 - tail
    shortest = (
        shortest_lobe(crusher_area, refocusing_gradient, 0.0, limits),
        shortest_lobe(encoding, 0.0, 0.0, limits),
        read_ramp,
    )
    shortest_before = (
        shortest_lobe(crusher_area - rephasing, 0.0, refocusing_gradient, limits),
        shortest_lobe(prephasing, 0.0, 0.0, limits),
    )
    _check_spacing(spacing, max(max(shortest) - between, max(shortest_before) - before), cycles)
    encode_ramp = _fitting_ramp(encoding, 0.0, 0.0, between, limits)
    spoiler_area = SPOILER_CYCLES / thickness_m
    spoiler_ticks = max(between, shortest_lobe(spoiler_area, 0.0, 0.0, limits))
    lead = max(ramp, round(RF_DEAD_TIME_S / RASTER_S))
    echoes_s = train.echo_train_length * spacing * RASTER_S
    return TseTiming(
        excitation_gradient=excitation_gradient,
        excitation_flat_s=flat * RASTER_S,
        excitation_ramp_s=ramp * RASTER_S,
        lead_s=lead * RASTER_S,
        tail_s=tail * RASTER_S,
        balance=lobe(crusher_area - rephasing, 0.0, refocusing_gradient, before, limits),
        prephaser=lobe(prephasing, 0.0, 0.0, before, limits),
        refocusing_gradient=refocusing_gradient,
        refocus_s=refocus * RASTER_S,
        crusher=lobe(crusher_area, refocusing_gradient, 0.0, between, limits),
        encode_ramp_s=(encode_ramp or 1) * RASTER_S,
        readout_gradient=readout_gradient,
        readout_s=readout * RASTER_S,
        readout_ramp_s=read_ramp * RASTER_S,
        n_samples=n_samples,
        dwell_s=dwell_s,
        adc_delay_s=round((readout * RASTER_S / 2 - (n_samples + 1) / 2 * dwell_s) * 1e6) / 1e6,
        spoiler=lobe(spoiler_area, 0.0, 0.0, spoiler_ticks, limits),
        shot_s=(lead + flat / 2 + readout / 2 + spoiler_ticks) * RASTER_S + echoes_s,
    )


def lobe(area: float, start: float, end: float, n_ticks: int, limits: Limits) -> Lobe:
    """The lobe of an area in 1/m that lasts `n_ticks`, with the shortest ramps that the slew rate allows.

    Raises:
        ProtocolError: there is none within the limits.
    """
    ramp = _fitting_ramp(area, start, end, n_ticks, limits)
    if ramp is None:
        raise ProtocolError(
            f"No gradient within the limits has an area of {area:g} 1/m in {n_ticks * RASTER_S * 1e3:g} ms."
        )
    return Lobe(start, _plateau(area, start, end, n_ticks, ramp), end, ramp * RASTER_S, n_ticks * RASTER_S)


def shortest_lobe(area: float, start: float, end: float, limits: Limits) -> int:
    """Raster steps of the shortest lobe of an area."""
    n_ticks = 3
    while _fitting_ramp(area, start, end, n_ticks, limits) is None:
        n_ticks += 1
    return n_ticks


def _check_spacing(spacing: int, missing: int, cycles: int) -> None:
    if missing > 0:
        nearest = round((spacing + 2 * missing) * RASTER_S * 1e3, 3)
        raise ProtocolError(
            f"echo_train.echo_spacing_ms is {spacing * RASTER_S * 1e3:g}; with crushers of {cycles} cycles over the slice and "
            f"the dead times of a scanner the gradients of the .seq file do not fit. Nearest valid value: {nearest:g}.",
            field="echo_train.echo_spacing_ms",
            nearest=nearest,
        )


def _fitting_ramp(area: float, start: float, end: float, n_ticks: int, limits: Limits) -> int | None:
    for ramp in range(1, (n_ticks - 1) // 2 + 1):
        plateau = _plateau(area, start, end, n_ticks, ramp)
        steepest = max(abs(plateau - start), abs(plateau - end)) / (ramp * RASTER_S)
        if steepest <= limits.slew and abs(plateau) <= limits.gradient:
            return ramp
    return None


def _plateau(area: float, start: float, end: float, n_ticks: int, ramp: int) -> float:
    return (area - (start + end) * ramp * RASTER_S / 2) / ((n_ticks - ramp) * RASTER_S)


def _ramp_ticks(gradient: float, limits: Limits) -> int:
    return math.ceil(gradient / limits.slew / RASTER_S)


def _with_parity(count: int, like: int) -> int:
    """The count, or one more, so that it is even or odd as the other."""
    return count + (count - like) % 2


def _pulse_ticks(name: str, pulse: RfPulse) -> int:
    return 2 * ticks(f"pulses.{name}_duration_s", pulse.duration_s, PULSE_STEP_S)


def _excitation_ticks(pulse: RfPulse) -> int:
    """The plateau in whose middle the pulse has its effective moment."""
    _pulse_ticks("excitation", pulse)
    return math.ceil(2 * max(pulse.rephasing, 1 - pulse.rephasing) * pulse.duration_s / RASTER_S)


def _sampling(protocol: Sections) -> tuple[int, float, float]:
    """Samples of a readout, their time, and the gradient in Hz/m that goes with it."""
    geometry = protocol.geometry
    n_pixels = 2 * math.ceil(geometry.field_of_view_read_m / geometry.voxel_read_m / 2 - 1e-6)
    n_samples = READ_OVERSAMPLING * n_pixels
    dwell_s = max(round(protocol.echo_train.readout_s / n_samples / ADC_RASTER_S), 1) * ADC_RASTER_S
    return n_samples, dwell_s, 1 / (READ_OVERSAMPLING * geometry.field_of_view_read_m * dwell_s)
