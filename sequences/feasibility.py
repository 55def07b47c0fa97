"""Whether the sections of a protocol fit together: each question has one clear refusal with the nearest valid value.

Gradients are judged one lobe at a time on one axis, from the area it needs and the time it has; the waveforms of the exported
sequence, their vector sum and nerve stimulation are judged where the waveforms exist.
"""

from __future__ import annotations

import math

from knerve.sequences.quantities import GAMMA_HZ_PER_T, refuse
from knerve.sequences.sampling import largest_calibration, smallest_possible_gap
from knerve.sequences.sections import EchoTrain, Sections, Undersampling
from knerve.sequences.timing import ROUNDING, ScanTime, scan_time

ECHO_TIME_TOLERANCE_S = 0.00005  # consoles print echo times to 0.1 ms
LEAST_LINES = 3  # ky = 0 and both edges
STEP_S = 0.001  # nearest valid times are whole milliseconds, rounded to the safe side


def check_feasible(protocol: Sections) -> None:
    """Refuse a protocol that no scanner can play.

    Raises:
        ProtocolError: says what is wrong and the nearest valid value.
    """
    time = scan_time(protocol)
    _check_echo_time(protocol.echo_train)
    _check_refocusing_train(protocol.echo_train)
    _check_repetition_time(protocol, time)
    _check_lines(protocol, time)
    _check_slice_gradients(protocol)
    _check_readout_gradient(protocol)
    _check_encoding_gradients(protocol)


def default_gap(acceleration: float) -> int:
    """Lines from neighbour to neighbour at most, where a protocol does not say: twice the acceleration."""
    return max(2, math.ceil(2 * acceleration - ROUNDING))


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


def _check_repetition_time(protocol: Sections, time: ScanTime) -> None:
    schedule, n_slices = protocol.schedule, protocol.geometry.n_slices
    if schedule.packages > n_slices:
        reason = f"there are only {n_slices} slices to share among packages"
        raise refuse("schedule.packages", schedule.packages, reason, n_slices)
    if time.slices_per_package <= time.slices_that_fit:
        return
    least_s = math.ceil(time.slices_per_package * time.shot_s / STEP_S - ROUNDING) * STEP_S
    shot = f"{1000 * time.shot_s:.5g} ms"
    reason = f"it is too short for {time.slices_per_package} slices per package, each excitation takes {shot}"
    if time.slices_that_fit:
        packages = math.ceil(n_slices / time.slices_that_fit)
        fitting = time.slices_that_fit * schedule.packages
        reason += f" ({packages} packages or {fitting} slices would fit)"
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
            nearest = _rounded_up(bandwidth_hz / (GAMMA_HZ_PER_T * factor * limit), 1e-5)
            raise refuse("geometry.slice_thickness_m", thickness_m, reason, nearest)


def _check_readout_gradient(protocol: Sections) -> None:
    limit, voxel_m = protocol.system.max_gradient_t_per_m, protocol.geometry.voxel_read_m
    bandwidth_hz = protocol.echo_train.pixel_bandwidth_hz
    needed = readout_gradient_t_per_m(protocol)
    if needed > limit:
        reason = f"the readout gradient would be {_mt_per_m(needed)}, over the limit of {_mt_per_m(limit)}"
        nearest = math.floor(limit * GAMMA_HZ_PER_T * voxel_m)
        raise refuse("echo_train.pixel_bandwidth_hz", bandwidth_hz, reason, nearest)


def _check_encoding_gradients(protocol: Sections) -> None:
    """The phase-encoding lobe between refocusing pulse and readout, and the readout's prephaser in the first half spacing."""
    train, pulses, geometry = protocol.echo_train, protocol.pulses, protocol.geometry
    prephaser_s = (train.echo_spacing_s - pulses.excitation_duration_s - pulses.refocusing_duration_s) / 2
    lobes = (
        ("phase-encoding lobe", geometry.voxel_phase_m, phase_encoding_time_s(protocol)),
        ("readout prephaser", geometry.voxel_read_m, prephaser_s),
    )
    for lobe, voxel_m, available_s in lobes:
        area = 1 / (2 * voxel_m * GAMMA_HZ_PER_T)  # to the edge of k-space, T s/m
        needed_s = _shortest_lobe_s(area, protocol)
        if available_s >= needed_s:
            continue
        peak = _lobe_peak(area, available_s, protocol.system.max_slew_rate_t_per_m_per_s)
        asks = _mt_per_m(peak) if peak else "a faster slew rate than the limit"
        reason = (
            f"it leaves {1000 * max(available_s, 0):.3g} ms for the {lobe} of {1000 * voxel_m:g} mm voxels, which then needs "
            f"{asks}; limits are {_mt_per_m(protocol.system.max_gradient_t_per_m)} and "
            f"{protocol.system.max_slew_rate_t_per_m_per_s:g} T/m/s"
        )
        nearest = _rounded_up(train.echo_spacing_s + 2 * (needed_s - available_s), 1e-5)
        raise refuse("echo_train.echo_spacing_s", train.echo_spacing_s, reason, nearest)


def readout_gradient_t_per_m(protocol: Sections) -> float:
    """Gradient during the readout: one pixel's bandwidth per voxel."""
    return protocol.echo_train.pixel_bandwidth_hz / (GAMMA_HZ_PER_T * protocol.geometry.voxel_read_m)


def phase_encoding_time_s(protocol: Sections) -> float:
    """Time between the refocusing pulse and the readout, and between the readout and the next pulse."""
    train = protocol.echo_train
    return (train.echo_spacing_s - train.readout_s - protocol.pulses.refocusing_duration_s) / 2


def _shortest_lobe_s(area: float, protocol: Sections) -> float:
    """Duration of the shortest trapezoid (or triangle) of an area in T s/m."""
    gradient, slew = protocol.system.max_gradient_t_per_m, protocol.system.max_slew_rate_t_per_m_per_s
    if area <= gradient**2 / slew:
        return 2 * math.sqrt(area / slew)
    return area / gradient + gradient / slew


def _lobe_peak(area: float, duration_s: float, slew: float) -> float | None:
    """Amplitude of the trapezoid of an area that lasts `duration_s`; None where the slew rate does not allow it."""
    squared = (slew * duration_s) ** 2 - 4 * slew * area
    return None if squared < 0 or duration_s <= 0 else (slew * duration_s - math.sqrt(squared)) / 2


def _mt_per_m(gradient_t_per_m: float) -> str:
    return f"{1000 * gradient_t_per_m:.4g} mT/m"


def _rounded_up(value: float, step: float) -> float:
    return math.ceil(value / step - ROUNDING) * step
