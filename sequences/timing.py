"""How long a scan takes, to the second.

    N_full = ceil(FOV_phase / voxel_phase) (1 + oversampling)      lines of the whole grid
    N_acq  = round(N_full · half scan / R)                         lines asked for, R the acceleration
    N_shot = ceil(N_acq / echo train length)
    T      = TR (dummy shots + N_shot · averages) packages + prescan

Every slice of a package is excited once per TR, so TR must hold as many shots as a package has slices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from knerve.sequences.sections import EchoTrain, FatSuppression, Schedule, Sections

ROUNDING = 1e-6  # of decimal fractions that binary numbers cannot hold: 160 mm / 0.32 mm is 500 lines, not 501


@dataclass(frozen=True)
class ScanTime:
    """The time of a scan and everything it follows from.

    Attributes:
        n_lines_image: lines that the field of view needs without oversampling.
        n_lines_full: lines with oversampling.
        n_lines_covered: of those, the lines that half scan leaves.
        n_lines_asked: lines that the acceleration asks for, per average.
        n_lines: different lines read, by all averages together.
        n_shots: excitations per slice and average.
        n_spare: echoes of one average beyond the lines asked for.
        shot_s: one excitation with preparation, echo train and spoilers.
        slices_per_package: slices that share a TR; `slices_that_fit` of them could.
        acceleration_asked: as the protocol says.
        acceleration_net: covered lines over different lines read.
        acceleration_image: lines that the image needs over different lines read; what unfolding has to achieve.
        total_s: the scan time.
    """

    n_lines_image: int
    n_lines_full: int
    n_lines_covered: int
    n_lines_asked: int
    n_lines: int
    n_shots: int
    n_spare: int
    shot_s: float
    slices_per_package: int
    slices_that_fit: int
    acceleration_asked: float
    acceleration_net: float
    acceleration_image: float
    total_s: float


def scan_time(protocol: Sections) -> ScanTime:
    """The time of a scan, its lines and shots, and its three accelerations."""
    geometry, schedule, under = protocol.geometry, protocol.schedule, protocol.undersampling
    n_image = _ceil(geometry.field_of_view_phase_m / geometry.voxel_phase_m)
    n_full = _ceil(n_image * (1 + geometry.phase_oversampling))
    n_covered = _round(n_full * under.half_scan)
    n_asked = _round(n_full * under.half_scan / under.acceleration)
    n_shots = math.ceil(n_asked / protocol.echo_train.echo_train_length)
    slots = n_shots * protocol.echo_train.echo_train_length
    n_lines = slots if under.spare_echoes == "fill" else n_asked
    n_lines = min(n_covered, n_lines * (schedule.averages if under.averages_as == "distinct lines" else 1))
    shot_s = shot_duration_s(protocol.echo_train, schedule, protocol.fat_suppression)
    return ScanTime(
        n_lines_image=n_image,
        n_lines_full=n_full,
        n_lines_covered=n_covered,
        n_lines_asked=n_asked,
        n_lines=n_lines,
        n_shots=n_shots,
        n_spare=slots - n_asked,
        shot_s=shot_s,
        slices_per_package=math.ceil(geometry.n_slices / schedule.packages),
        slices_that_fit=whole_steps(schedule.repetition_time_s / shot_s),
        acceleration_asked=under.acceleration,
        acceleration_net=n_full * under.half_scan / n_lines,
        acceleration_image=n_image / n_lines,
        total_s=total_s(schedule, n_shots),
    )


def shot_duration_s(train: EchoTrain, schedule: Schedule, fat: FatSuppression) -> float:
    """One excitation of one slice: preparation, echo train, and what is before and after them."""
    return fat.before_excitation_s + train.echo_train_length * train.echo_spacing_s + schedule.shot_overhead_s


def total_s(schedule: Schedule, n_shots: int) -> float:
    """All shots of all averages and packages, `n_shots` of each average."""
    shots = (schedule.dummy_shots + n_shots * schedule.averages) * schedule.packages
    return schedule.repetition_time_s * shots + schedule.prescan_s


def _ceil(value: float) -> int:
    return math.ceil(value - ROUNDING)


def whole_steps(value: float) -> int:
    """The whole steps in a ratio of decimal fractions: 20.0, not 19.999..., holds 20."""
    return math.floor(value + ROUNDING)


def _round(value: float) -> int:
    """To the nearest whole number, halves upwards."""
    return math.floor(value + 0.5 + ROUNDING)
