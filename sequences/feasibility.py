"""Whether the sections of a protocol fit together: each question has one clear refusal with the nearest valid value.

Time and gradients are those of the shot that is exported, `tse_timing`, with its crushers, spoilers and dead times, one axis at
a time; the vector sum of the axes and nerve stimulation are judged where the waveform exists.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace

from knerve.sequences.errors import ProtocolError
from knerve.sequences.inversion_pulse import inversion_pulse
from knerve.sequences.quantities import GAMMA_HZ_PER_T, refuse
from knerve.sequences.rasters import ticks
from knerve.sequences.sampling import largest_calibration, smallest_possible_gap
from knerve.sequences.sections import EchoTrain, Sections, Undersampling
from knerve.sequences.timing import ROUNDING, ScanTime, scan_time, whole_steps
from knerve.sequences.tse_timing import ADC_RASTER_S, READ_OVERSAMPLING, sampling, tse_timing

ECHO_TIME_TOLERANCE_S = 0.00005  # consoles print echo times to 0.1 ms
WIDEST_GAP = 5  # accelerations
LEAST_LINES = 3  # ky = 0 and both edges
THICKNESS_STEP_M = 1e-5
MOST_STEPS = 1000  # to a slice 10 mm thicker
STEP_S = 0.001  # nearest valid times are whole milliseconds, rounded to the safe side


def check_feasible(protocol: Sections) -> None:
    """Refuse a protocol that no scanner can play.

    Raises:
        ProtocolError: says what is wrong and the nearest valid value.
    """
    time = scan_time(protocol)
    _check_echo_time(protocol.echo_train)
    _check_refocusing_train(protocol.echo_train)
    _check_lines(protocol, time)
    _check_slice_gradients(protocol)
    _check_readout_gradient(protocol)
    inversion_pulse(protocol)  # refuses one that is too short for its spectrum
    _check_repetition_time(protocol, time, max(time.shot_s, tse_timing(protocol).shot_s))


def default_gap(acceleration: float) -> int:
    """Lines from neighbour to neighbour at most, where a protocol does not say: few patterns with room have larger gaps."""
    return max(2, math.ceil(WIDEST_GAP * acceleration - ROUNDING))


def _check_echo_time(train: EchoTrain) -> None:
    spacing_s = train.echo_spacing_s
    last = 1 if train.order == "low-high" else train.echo_train_length
    echo = min(max(round(train.echo_time_s / spacing_s), 1), last)
    if abs(train.echo_time_s - echo * spacing_s) <= ECHO_TIME_TOLERANCE_S:
        return
    if train.order == "low-high":
        reason = "the low-high order reads ky = 0 with the first echo, one echo spacing after the excitation"
    elif train.echo_time_s > (last + 0.5) * spacing_s:
        reason = f"the train of {last} echoes ends at {1000 * last * spacing_s:.5g} ms"
    else:
        reason = f"echoes come every {1000 * spacing_s:.5g} ms only"
    raise refuse("echo_train.echo_time_s", train.echo_time_s, reason, echo * spacing_s)


def _check_refocusing_train(train: EchoTrain) -> None:
    length = train.echo_train_length
    if train.refocusing_train == "hyperecho" and length % 2 == 0:
        reason = "a hyperecho train is mirrored about its middle pulse and needs an odd number of echoes"
        raise refuse("echo_train.echo_train_length", length, reason, length + 1)
    if train.refocusing_train == "traps" and train.centre_echo < 3:
        reason = "a traps train needs three echoes before the one that reads ky = 0"
        raise refuse("echo_train.echo_time_s", train.echo_time_s, reason, 4 * train.echo_spacing_s)


def _check_repetition_time(protocol: Sections, time: ScanTime, shot_s: float) -> None:
    """`shot_s` is what the protocol allows for a shot, or what is played if that takes longer."""
    schedule, n_slices = protocol.schedule, protocol.geometry.n_slices
    if schedule.packages > n_slices:
        reason = f"only {n_slices} can be filled with a slice each"
        raise refuse("schedule.packages", schedule.packages, reason, n_slices)
    ticks("schedule.repetition_time_s", schedule.repetition_time_s)
    that_fit = whole_steps(schedule.repetition_time_s / shot_s)
    if time.slices_per_package <= that_fit:
        return
    least_s = math.ceil(time.slices_per_package * shot_s / STEP_S - ROUNDING) * STEP_S
    reason = f"it is too short for {time.slices_per_package} slices per package, each excitation takes {1000 * shot_s:.5g} ms"
    if that_fit:
        packages = math.ceil(n_slices / that_fit)
        reason += f" ({packages} packages or {that_fit * schedule.packages} slices would fit)"
    raise refuse("schedule.repetition_time_s", schedule.repetition_time_s, reason, least_s)


def _check_lines(protocol: Sections, time: ScanTime) -> None:
    under, averages = protocol.undersampling, protocol.schedule.averages
    if under.averages_as == "distinct lines" and averages * time.n_lines_asked > time.n_lines_covered:
        least = (time.n_lines_covered + 0.5) / (time.n_lines_covered / averages - 0.5)  # halves: lines are whole
        reason = (
            f"{averages} averages of {time.n_lines_asked} distinct lines are more than the {time.n_lines_covered} lines there are"
            " (averages_as = 'repeats' has no such limit)"
        )
        raise refuse("undersampling.acceleration", under.acceleration, reason, _rounded_up(least, 0.1))
    if time.n_lines < min(LEAST_LINES, time.n_lines_covered):
        reason = f"it leaves {time.n_lines} lines, too few for ky = 0 and both edges of k-space"
        nearest = math.floor(10 * time.n_lines_covered / LEAST_LINES) / 10
        raise refuse("undersampling.acceleration", under.acceleration, reason, nearest)
    _check_calibration_and_gap(under, time)


def _check_calibration_and_gap(under: Undersampling, time: ScanTime) -> None:
    allowed = default_gap(under.acceleration) if under.largest_gap is None else under.largest_gap
    most = largest_calibration(time.n_lines_full, time.n_lines_covered, time.n_lines)
    fits = under.calibration_lines <= most
    gap = _gap_with(under.calibration_lines, time) if fits else 0
    if fits and gap <= allowed:
        return
    if fits and under.largest_gap is not None:
        reason = f"{time.n_lines} lines with {under.calibration_lines} of them in the centre cannot be closer"
        raise refuse("undersampling.largest_gap", under.largest_gap, reason, gap)
    nearest = next((n for n in range(most, 1, -1) if _gap_with(n, time) <= allowed), 1)
    room = f"leave room for {nearest} about ky = 0, with no gap over {allowed}"
    reason = f"the {time.n_lines} lines read of {time.n_lines_covered} {room}"
    raise refuse("undersampling.calibration_lines", under.calibration_lines, reason, nearest)


def _gap_with(n_calibration: int, time: ScanTime) -> int:
    return smallest_possible_gap(time.n_lines_full, time.n_lines_covered, time.n_lines, n_calibration)


def _check_slice_gradients(protocol: Sections) -> None:
    pulses, thickness_m = protocol.pulses, protocol.geometry.slice_thickness_m
    limit = protocol.system.max_gradient_t_per_m
    bandwidths = (
        ("excitation", pulses.excitation_time_bandwidth / pulses.excitation_duration_s, 1.0),
        (
            "refocusing",
            pulses.refocusing_time_bandwidth / pulses.refocusing_duration_s,
            pulses.refocusing_slice_factor,
        ),
    )
    for pulse, bandwidth_hz, factor in bandwidths:
        needed = bandwidth_hz / (GAMMA_HZ_PER_T * factor * thickness_m)
        if needed > limit:
            reason = (
                f"the gradient of the {pulse} pulse would be {_mt_per_m(needed)}, over the limit of {_mt_per_m(limit)}"
            )
            nearest = _thickness_that_fits(protocol, bandwidth_hz / (GAMMA_HZ_PER_T * factor * limit))
            raise refuse("geometry.slice_thickness_m", thickness_m, reason, nearest)


def _thickness_that_fits(protocol: Sections, least_m: float) -> float:
    """The thinnest slice from `least_m` on, to 0.01 mm, whose crushers fit too; `least_m` where none does."""
    candidates = [_rounded_up(least_m, THICKNESS_STEP_M) + step * THICKNESS_STEP_M for step in range(MOST_STEPS)]

    def fits(thickness_m: float) -> bool:
        geometry = replace(protocol.geometry, slice_thickness_m=thickness_m)
        train, schedule, pulses, fat = protocol.echo_train, protocol.schedule, protocol.pulses, protocol.fat_suppression
        try:
            tse_timing(Sections(geometry, train, schedule, protocol.undersampling, pulses, fat, protocol.system))
        except ProtocolError:
            return False
        return True

    return candidates[0] if not fits(candidates[-1]) else candidates[bisect_left(candidates, True, key=fits)]


def _check_readout_gradient(protocol: Sections) -> None:
    limit, bandwidth_hz = protocol.system.max_gradient_t_per_m, protocol.echo_train.pixel_bandwidth_hz
    needed = readout_gradient_t_per_m(protocol)
    if needed > limit:
        reason = f"the readout gradient would be {_mt_per_m(needed)}, over the limit of {_mt_per_m(limit)}"
        dwell_s = 1 / (READ_OVERSAMPLING * protocol.geometry.field_of_view_read_m * GAMMA_HZ_PER_T * limit)
        nearest = math.floor(1 / (sampling(protocol).n_samples * _rounded_up(dwell_s, ADC_RASTER_S)))
        raise refuse("echo_train.pixel_bandwidth_hz", bandwidth_hz, reason, nearest)


def readout_gradient_t_per_m(protocol: Sections) -> float:
    """Gradient during the readout, as it is played."""
    return sampling(protocol).gradient / GAMMA_HZ_PER_T


def _mt_per_m(gradient_t_per_m: float) -> str:
    return f"{1000 * gradient_t_per_m:.4g} mT/m"


def _rounded_up(value: float, step: float) -> float:
    return math.ceil(value / step - ROUNDING) * step
