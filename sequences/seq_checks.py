"""Every check of a finished sequence, from the events that are written to its file.

Some say that the file is what the protocol asked for, and all of those must pass. The others hold it against a scanner: gradients
and their slew rate on one axis and as a vector, nerve stimulation, B1. Nothing that was not evaluated passes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from knerve.sequences.echo_order import NOT_READ, EchoPlan
from knerve.sequences.pns import SafeHardware, check_pns
from knerve.sequences.protocol import Protocol
from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.rasters import RASTER_S, RF_RASTER_S
from knerve.sequences.safety import Check, GradientLimits, b1_rms_ut, check_b1_rms, check_gradients, check_peak_b1
from knerve.sequences.seq_blocks import SeqBlocks
from knerve.sequences.seq_kspace import Readouts, readouts
from knerve.sequences.seq_waveform import Real, waveform_mt_per_m
from knerve.sequences.timing import scan_time
from knerve.sequences.tse_timing import READ_OVERSAMPLING

KX_TOLERANCE = 0.25  # of the distance of two samples; a readout starts on the raster of the RF
KY_TOLERANCE = 0.01  # of the distance of two lines
KZ_TOLERANCE = 1e-4  # cycles over the slice
TIME_TOLERANCE_S = 2 * RF_RASTER_S  # readouts and pulses start on it
FORGOTTEN_AFTER = 20  # time constants of nerve stimulation; 2e-9 is left


def integrity_checks(blocks: SeqBlocks, gradients: list[Real], protocol: Protocol, plan: EchoPlan) -> tuple[Check, ...]:
    """Whether the sequence is what the protocol says: times, lines, places in k-space."""
    read, asked = readouts(blocks, gradients), protocol.fat_suppression.inversion_time_s
    geometry = protocol.geometry
    extent_m = geometry.field_of_view_phase_m * (1 + geometry.phase_oversampling)
    extent_read_m = READ_OVERSAMPLING * geometry.field_of_view_read_m
    lines_off = read.k[:, 1] * extent_m - (read.labels["LIN"] - plan.n_full // 2)
    centre = read.labels["LIN"] == plan.n_full // 2
    played_s = scan_time(protocol).total_s - protocol.schedule.prescan_s
    late_ms = _largest(read.echo_time_s[centre] - plan.effective_echo_time_s) * 1e3
    checks = [
        Check("timing (PyPulseq)", "problems", float(len(blocks.timing_problems())), 0.0),
        Check("duration against the protocol", "s", _largest(np.array([blocks.duration_s - played_s])), RASTER_S / 2),
        Check("lines not read once per average", "lines", float(_lines_wrong(read, plan, geometry.n_slices)), 0.0),
        Check("ky against the line's label", "lines", _largest(lines_off), KY_TOLERANCE),
        Check("kx at the echo", "samples", _largest(read.k[:, 0]) * extent_read_m, KX_TOLERANCE),
        Check("kz at the echo", "cycles", _largest(read.k[:, 2]) * geometry.slice_thickness_m, KZ_TOLERANCE),
        Check("echo time of ky = 0 against the protocol", "ms", late_ms, TIME_TOLERANCE_S * 1e3),
    ]
    if asked is not None:
        late_ms = _largest(read.inversion_time_s - asked) * 1e3
        checks.append(Check("inversion time against the protocol", "ms", late_ms, TIME_TOLERANCE_S * 1e3))
    return tuple(checks)


def scanner_checks(
    blocks: SeqBlocks, gradients: list[Real], played: Sequence[range], protocol: Protocol, hardware: SafeHardware
) -> tuple[Check, ...]:
    """Gradients, nerve stimulation and B1; `played` are runs of blocks that hold every gradient waveform there is."""
    system, longest_rest_s = protocol.system, FORGOTTEN_AFTER * hardware.memory_s
    waveform = waveform_mt_per_m(blocks, gradients, played, longest_rest_s)
    limits = GradientLimits(system.max_gradient_t_per_m * 1e3, system.max_slew_rate_t_per_m_per_s)
    pulses = Counter(blocks.kind.tolist())
    energy, peak_ut = 0.0, 0.0
    for kind, content in enumerate(blocks.contents):
        if content.rf is not None:
            b1_ut = _b1_ut(content.rf)
            energy += pulses[kind] * float(np.sum(b1_ut**2)) * RF_RASTER_S
            peak_ut = max(peak_ut, float(b1_ut.max()))
    return (
        *check_gradients(waveform, RASTER_S, limits),
        check_pns(waveform, RASTER_S, hardware),
        check_b1_rms(b1_rms_ut(energy, blocks.duration_s)),
        check_peak_b1(peak_ut),
    )


def _lines_wrong(read: Readouts, plan: EchoPlan, n_slices: int) -> int:
    """How many (slice, average, line, echo) are missing or come more often than planned."""
    names = ("SLC", "AVG", "LIN", "SEG")
    found = Counter(zip(*(read.labels[name].tolist() for name in names), strict=True))
    expected = Counter(
        (index, average, line, echo)
        for (average, _, echo), line in np.ndenumerate(plan.lines)
        if line != NOT_READ
        for index in range(n_slices)
    )
    return sum(((found - expected) + (expected - found)).values())


def _b1_ut(rf: SimpleNamespace) -> Real:
    return np.asarray(np.abs(rf.signal) / GAMMA_HZ_PER_T * 1e6)


def _largest(values: Real) -> float:
    """Largest magnitude; nan, which never passes, where there is nothing."""
    return round(float(np.abs(values).max()), 9) if values.size else math.nan
