"""The readouts of a scan in the order in which a scanner plays them, each with its moment.

Package after package; in each repetition the package's slices in turn, every second one first, each with one echo train. It is
the order of the exported sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.echo_order import NOT_READ, EchoPlan
from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_export import interleaved

Index = NDArray[np.int64]
Real = NDArray[np.float64]


@dataclass(frozen=True)
class ScanOrder:
    """Entry i is about readout i in time.

    Attributes:
        slices: (readout) number of the slice, along the stack.
        averages: (readout).
        shots: (readout) within the average.
        echoes: (readout).
        lines: (readout) ky = 0 at n // 2.
        time_s: (readout) from the start of the scan to the echo.
    """

    slices: Index
    averages: Index
    shots: Index
    echoes: Index
    lines: Index
    time_s: Real

    def __len__(self) -> int:
        """Number of readouts."""
        return len(self.lines)


def scan_order(protocol: Protocol, plan: EchoPlan) -> ScanOrder:
    """All readouts of a protocol."""
    geometry, schedule = protocol.geometry, protocol.schedule
    before_s = protocol.fat_suppression.before_excitation_s
    rows: list[tuple[int, int, int, int, int]] = []
    times: list[float] = []
    start_s = schedule.prescan_s
    for package in range(schedule.packages):
        slices = interleaved(range(package, geometry.n_slices, schedule.packages))
        start_s += schedule.dummy_shots * schedule.repetition_time_s
        for average, shots in enumerate(plan.lines.tolist()):
            for shot, lines in enumerate(shots):
                for rank, number in enumerate(slices):
                    excited_s = start_s + rank / len(slices) * schedule.repetition_time_s + before_s
                    for echo, line in enumerate(lines):
                        if line != NOT_READ:
                            rows.append((number, average, shot, echo, line))
                            times.append(excited_s + (echo + 1) * plan.echo_spacing_s)
                start_s += schedule.repetition_time_s
    slices_, averages, shots_, echoes, lines_ = np.array(rows, dtype=np.int64).T
    return ScanOrder(slices_, averages, shots_, echoes, lines_, np.array(times))


def echo_of_every_line(plan: EchoPlan) -> Index:
    """(ky) the echo that reads each line, and for lines that are not read the echo of the nearest one that is."""
    echoes = plan.echo_of_line
    read = np.flatnonzero(echoes != NOT_READ)
    middles = (read[1:] + read[:-1]) / 2
    return np.asarray(echoes[read[np.searchsorted(middles, np.arange(plan.n_full))]])
