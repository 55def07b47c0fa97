"""The gradients of one turbo-spin-echo shot: every duration on the raster, every moment balanced.

    [invert, spoil, wait,] excite, balance, [refocus, encode, read, rewind] x echoes

The slice gradient stays on from crusher to crusher. From a refocusing pulse to the echo it winds a whole number of cycles over
the slice; the lobe after the excitation winds as many before the first pulse and rephases the slice in the same
move, while the readout is prephased by half its area. So every half echo spacing has the same moments, as CPMG asks.
Pulses and readouts lie in the middle of their plateaus; an odd echo spacing makes excitation and readout odd. The middle of the
excitation is the moment from which its gradient has to be rephased, a little before the middle of its samples.

The shapes of the pulses do not matter here, so a protocol is judged by this model before any pulse is designed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from knerve.sequences.gradient_lobes import Limits, Lobe, lobe, shortest_lobe, shortest_ramp
from knerve.sequences.inversion_timing import InversionTiming, SlicePlateau, inversion_timing
from knerve.sequences.quantities import GAMMA_HZ_PER_T, refuse
from knerve.sequences.rasters import PULSE_STEP_S, RASTER_S, RF_DEAD_TIME_S, RF_RINGDOWN_S, ticks, with_parity
from knerve.sequences.sections import Sections

ADC_RASTER_S = 1e-7
ADC_DEAD_TIME_S = 1e-5
ADC_DELAY_STEP_S = 1e-6
CRUSHER_CYCLES = (
    4  # over the slice thickness, at least; what the slab's edges emit freely, the readout gradient crushes
)
SPOILER_CYCLES = 6
READ_OVERSAMPLING = 2
READ_RAMP = 3  # times the shortest, where there is room: the readout ramps while the other lobes do
LATEST_MOMENT = (
    0.56  # of an excitation's duration from its effective moment to its end, at most; 0.551 of all that are designed
)


@dataclass(frozen=True)
class Sampling:
    """Samples of a readout, the time of each, and the gradient in Hz/m that goes with it."""

    n_samples: int
    dwell_s: float
    gradient: float


@dataclass(frozen=True)
class TseTiming:
    """Durations in s, gradients in Hz/m and areas in 1/m of a shot.

    Attributes:
        inversion: what comes before the excitation, or None.
        excitation_flat_s: plateau of the slice gradient; it begins `lead_s` after the start of its block, its ramps take
            `excitation_ramp_s`, and `tail_s` after it the lobe `balance` begins.
        balance: slice gradient from the excitation to the first refocusing plateau.
        prephaser: readout gradient meanwhile.
        refocus_s: plateau of a refocusing pulse.
        crusher: slice gradient from the refocusing plateau to rest; before the pulse the same backwards.
        encoding: phase-encoding lobe of the outermost line, which lasts as long as the crusher.
        readout_s: plateau of the readout gradient, with ramps of `readout_ramp_s` before and after it.
        adc_delay_s: from the start of the plateau; the sample n / 2 lies at the echo.
        spoiler: slice gradient after the last readout.
        shot_s: the whole.
    """

    inversion: InversionTiming | None
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
    encoding: Lobe
    sampling: Sampling
    readout_s: float
    readout_ramp_s: float
    adc_delay_s: float
    spoiler: Lobe
    shot_s: float


@dataclass(frozen=True)
class _Layout:
    """One echo spacing in raster steps, and the areas in 1/m that it has to hold.

    Attributes:
        before: room for `balancing` and `prephasing`, from the excitation to the first refocusing plateau.
        between: room for `crushing` and `encoding`, between a refocusing plateau and a readout.
        cycles: that the slice is wound from a refocusing pulse to the echo.
    """

    spacing: int
    excitation: SlicePlateau
    tail: int
    refocusing_gradient: float
    refocus: int
    read: Sampling
    readout: int
    read_ramp: int
    before: int
    between: int
    cycles: int
    crushing: float
    balancing: float
    prephasing: float
    encoding: float


@dataclass(frozen=True)
class _Need:
    """A lobe that has to fit: what it is, the raster steps it takes, and those it has."""

    name: str
    steps: int
    available: int

    @property
    def missing(self) -> int:
        return max(self.steps - self.available, 0)


def axis_limits(protocol: Sections) -> Limits:
    """What the protocol's scanner can do on one axis."""
    system = protocol.system
    return Limits(system.max_gradient_t_per_m * GAMMA_HZ_PER_T, system.max_slew_rate_t_per_m_per_s * GAMMA_HZ_PER_T)


def sampling(protocol: Sections) -> Sampling:
    """The readout on the raster of the receiver, at least as fine as the voxel."""
    geometry = protocol.geometry
    n_pixels = 2 * math.ceil(geometry.field_of_view_read_m / geometry.voxel_read_m / 2 - 1e-6)
    n_samples = READ_OVERSAMPLING * n_pixels
    dwell_s = max(round(protocol.echo_train.readout_s / n_samples / ADC_RASTER_S), 1) * ADC_RASTER_S
    return Sampling(n_samples, dwell_s, 1 / (READ_OVERSAMPLING * geometry.field_of_view_read_m * dwell_s))


def tse_timing(protocol: Sections) -> TseTiming:
    """Time the gradients of a protocol; those of slices and readout lie within the limits.

    Raises:
        ProtocolError: a duration is not on the raster, or the echo spacing or the inversion time is too short.
    """
    train, limits = protocol.echo_train, axis_limits(protocol)
    layout = _layout(protocol, limits, round(train.echo_spacing_s / RASTER_S))
    _check_spacing(protocol, limits, layout)
    excitation, height = layout.excitation, layout.refocusing_gradient
    spoiling = SPOILER_CYCLES / protocol.geometry.slice_thickness_m
    spoiler = max(layout.between, 2 * shortest_lobe(spoiling, 0.0, 0.0, limits))  # twice the shortest: gentle
    inversion = inversion_timing(protocol, excitation, limits)
    to_excitation_s = (excitation.lead + excitation.flat / 2) * RASTER_S
    if inversion and protocol.fat_suppression.inversion_time_s:
        to_excitation_s = inversion.middle_s + protocol.fat_suppression.inversion_time_s
    echoes_s = train.echo_train_length * layout.spacing * RASTER_S
    read, readout_s = layout.read, layout.readout * RASTER_S
    return TseTiming(
        inversion=inversion,
        excitation_gradient=excitation.gradient,
        excitation_flat_s=excitation.flat * RASTER_S,
        excitation_ramp_s=excitation.ramp * RASTER_S,
        lead_s=excitation.lead * RASTER_S,
        tail_s=layout.tail * RASTER_S,
        balance=lobe(layout.balancing, 0.0, height, layout.before, limits),
        prephaser=lobe(layout.prephasing, 0.0, 0.0, layout.before, limits),
        refocusing_gradient=height,
        refocus_s=layout.refocus * RASTER_S,
        crusher=lobe(layout.crushing, height, 0.0, layout.between, limits),
        encoding=lobe(layout.encoding, 0.0, 0.0, layout.between, limits),
        sampling=read,
        readout_s=readout_s,
        readout_ramp_s=layout.read_ramp * RASTER_S,
        adc_delay_s=round((readout_s / 2 - (read.n_samples + 1) / 2 * read.dwell_s) * 1e6) / 1e6,
        spoiler=lobe(spoiling, 0.0, 0.0, spoiler, limits),
        shot_s=to_excitation_s + echoes_s + readout_s / 2 + spoiler * RASTER_S,
    )


def _layout(protocol: Sections, limits: Limits, spacing: int) -> _Layout:
    thickness_m = protocol.geometry.slice_thickness_m
    gradient, refocus = _refocusing(protocol)
    excitation = _excitation(protocol, limits, parity=spacing - refocus)
    read, readout = _readout(protocol, parity=spacing - refocus)
    between = max((spacing - refocus - readout) // 2, 0)
    tail = max(excitation.ramp, round(RF_RINGDOWN_S / RASTER_S))
    steepest = shortest_ramp(read.gradient, limits)
    read_ramp = max(steepest, min(READ_RAMP * steepest, between // 2))
    half_slice = gradient * refocus * RASTER_S / 2
    cycles = max(CRUSHER_CYCLES, math.ceil(half_slice * thickness_m))
    crushing = cycles / thickness_m - half_slice
    return _Layout(
        spacing=spacing,
        excitation=excitation,
        tail=tail,
        refocusing_gradient=gradient,
        refocus=refocus,
        read=read,
        readout=readout,
        read_ramp=read_ramp,
        before=max((spacing - excitation.flat - refocus) // 2 - tail, 0),
        between=between,
        cycles=cycles,
        crushing=crushing,
        balancing=crushing - excitation.gradient * (excitation.flat + excitation.ramp) * RASTER_S / 2,
        prephasing=read.gradient * (readout + read_ramp) * RASTER_S / 2,
        encoding=1 / (2 * protocol.geometry.voxel_phase_m),
    )


def _refocusing(protocol: Sections) -> tuple[float, int]:
    """Gradient in Hz/m and plateau in raster steps, dead time on both sides."""
    asked, thickness_m = protocol.pulses, protocol.geometry.slice_thickness_m
    bandwidth_hz = asked.refocusing_time_bandwidth / asked.refocusing_duration_s
    pulse = 2 * ticks("pulses.refocusing_duration_s", asked.refocusing_duration_s, PULSE_STEP_S)
    return bandwidth_hz / (thickness_m * asked.refocusing_slice_factor), pulse + 2 * round(RF_DEAD_TIME_S / RASTER_S)


def _excitation(protocol: Sections, limits: Limits, parity: int) -> SlicePlateau:
    """The plateau in whose middle the pulse has its effective moment."""
    asked = protocol.pulses
    ticks("pulses.excitation_duration_s", asked.excitation_duration_s, PULSE_STEP_S)
    bandwidth_hz = asked.excitation_time_bandwidth / asked.excitation_duration_s
    gradient = bandwidth_hz / protocol.geometry.slice_thickness_m
    flat = math.ceil(2 * LATEST_MOMENT * asked.excitation_duration_s / RASTER_S)
    lead = max(shortest_ramp(gradient, limits), round(RF_DEAD_TIME_S / RASTER_S))
    return SlicePlateau(gradient, lead, with_parity(flat, parity), ramp=lead)


def _readout(protocol: Sections, parity: int) -> tuple[Sampling, int]:
    """The samples, and the plateau in raster steps that holds them between two dead times."""
    read = sampling(protocol)
    needed_s = (read.n_samples + 1) * read.dwell_s + 2 * ADC_DEAD_TIME_S + ADC_DELAY_STEP_S
    return read, with_parity(math.ceil(needed_s / RASTER_S - 1e-6), parity)


def _check_spacing(protocol: Sections, limits: Limits, layout: _Layout) -> None:
    """Refuse an echo spacing that is too short for a lobe, or off the raster; the nearest is right in both respects."""
    asked_s, worst = protocol.echo_train.echo_spacing_s, _worst_need(protocol, limits, layout)
    if not worst.missing:
        ticks("echo_train.echo_spacing_s", asked_s)
        return
    longer, need = layout, worst
    while need.missing:
        longer = _layout(protocol, limits, longer.spacing + 2 * need.missing)
        need = _worst_need(protocol, limits, longer)
    reason = (
        f"it leaves {worst.available * RASTER_S * 1e3:.3g} ms for the {worst.name}, which takes "
        f"{worst.steps * RASTER_S * 1e3:.3g} ms within {1e3 * protocol.system.max_gradient_t_per_m:.4g} mT/m and "
        f"{protocol.system.max_slew_rate_t_per_m_per_s:g} T/m/s"
    )
    raise refuse("echo_train.echo_spacing_s", asked_s, reason, longer.spacing * RASTER_S)


def _worst_need(protocol: Sections, limits: Limits, layout: _Layout) -> _Need:
    """The lobe of which most is missing."""
    geometry, height, between, before = protocol.geometry, layout.refocusing_gradient, layout.between, layout.before
    lobes = (
        (f"crusher of {layout.cycles} cycles over the slice", layout.crushing, height, 0.0, between),
        (f"phase-encoding lobe of {1e3 * geometry.voxel_phase_m:g} mm voxels", layout.encoding, 0.0, 0.0, between),
        ("crusher before the first refocusing pulse", layout.balancing, 0.0, height, before),
        (f"readout prephaser of {1e3 * geometry.voxel_read_m:g} mm voxels", layout.prephasing, 0.0, 0.0, before),
    )
    needs = [_Need(name, shortest_lobe(area, start, end, limits, room), room) for name, area, start, end, room in lobes]
    return max([*needs, _Need("ramp of the readout", layout.read_ramp, between)], key=lambda need: need.missing)
