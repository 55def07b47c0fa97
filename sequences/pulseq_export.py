"""A protocol as a Pulseq file for a research scanner: 2-D multislice turbo spin echo, with inversion (STIR, SPAIR) or without.

    export(Protocol.load("navigate"), Path("navigate.seq"))

The pulses, angles, lines and times are those that `evaluate` reports on. Gradients are logical: x reads, y encodes, z selects;
the scanner's interpreter turns them. Every check is made on the finished sequence before the file appears; none is a safety
clearance. Labels of each readout: LIN (ky = 0 is the definition `kSpaceCenterLine`), SLC from one end to the other in space,
AVG, REP and SEG, the echo.

Layton 2017, doi:10.1002/mrm.26235.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from knerve.sequences.echo_order import NOT_READ, plan_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.pns import EXAMPLE_HARDWARE, SafeHardware
from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_events import TseEvents
from knerve.sequences.rasters import RASTER_S, ticks
from knerve.sequences.safety import CheckResult, results
from knerve.sequences.seq_blocks import seq_blocks
from knerve.sequences.seq_checks import integrity_checks, scanner_checks
from knerve.sequences.seq_waveform import kind_gradients

if TYPE_CHECKING:
    from pypulseq import Sequence

PulseqVersion = Literal["1.5", "1.4.1"]


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        version: of the file format.
        duration_s: played time, without prescan.
        n_blocks: in the file.
        n_readouts: of all slices.
        checks: on the finished sequence; a protocol that breaks its own description is not written at all.
    """

    version: PulseqVersion
    duration_s: float
    n_blocks: int
    n_readouts: int
    checks: tuple[CheckResult, ...]


def export(
    protocol: Protocol,
    path: Path,
    version: PulseqVersion = "1.5",
    hardware: SafeHardware = EXAMPLE_HARDWARE,
) -> Export:
    """Write a protocol as a .seq file; an interrupted export leaves the old file.

    Args:
        protocol: the protocol.
        path: ends in .seq.
        version: of the file format.
        hardware: for nerve stimulation; without the coefficients of a real scanner it stays "not evaluated".

    Raises:
        ProtocolError: the protocol cannot be played as a .seq file, or PyPulseq is missing.
        OSError: the file cannot be written.
    """
    if path.suffix != ".seq":
        raise ProtocolError(f"The export writes Pulseq, not {path.name!r}; give a name that ends in .seq.")
    shots = _Shots(protocol)
    shots.play()
    blocks = seq_blocks(shots.events.sequence)
    gradients = kind_gradients(blocks)
    integrity = results(integrity_checks(blocks, gradients, protocol, shots.plan))
    wrong = [f"{each.name} {each.value} {each.unit}" for each in integrity if each.verdict != "pass"]
    if wrong:
        raise ProtocolError(
            f"The sequence of {protocol.name!r} is not what the protocol says: {'; '.join(wrong)}. Please report this."
        )
    scanner = results(scanner_checks(blocks, gradients, shots.every_waveform, protocol, hardware))
    _write(shots.events.sequence, path, version)
    return Export(
        version=version,
        duration_s=round(blocks.duration_s, 9),
        n_blocks=len(blocks.kind),
        n_readouts=sum(1 for events in shots.events.sequence.block_events.values() if events[5]),
        checks=(*integrity, *scanner),
    )


def build_sequence(protocol: Protocol) -> Sequence:
    """The `pypulseq.Sequence` of a protocol, unchecked.

    Raises:
        ProtocolError: the protocol cannot be played as a .seq file, or PyPulseq is missing.
    """
    shots = _Shots(protocol)
    shots.play()
    return shots.events.sequence


def _write(sequence: Sequence, path: Path, version: PulseqVersion) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        aside = Path(folder) / path.name
        # remove_duplicates copies the sequence; its events are registered once each already
        sequence.write(str(aside), remove_duplicates=False, check_timing=False, v141_compat=version == "1.4.1")
        aside.replace(path)


class _Shots:
    """Plays the shots of a protocol in their order.

    Attributes:
        every_waveform: runs of block indices: the shots of the first two slices of each repetition that reads other lines than
            those before it. Slices have the same gradients, and so have repetitions that read the same lines.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol, self.plan = protocol, plan_echoes(protocol)
        self.events = TseEvents(protocol, self.plan.n_full)
        self.every_waveform: list[range] = []
        self._played: set[tuple[int, ...]] = set()

    def play(self) -> None:
        """All packages, dummy shots, averages and shots; each repetition lasts TR to the raster."""
        schedule = self.protocol.schedule
        tr_ticks = ticks("schedule.repetition_time_s", schedule.repetition_time_s)
        for package in range(schedule.packages):
            slices = interleaved(range(package, self.protocol.geometry.n_slices, schedule.packages))
            slot_ends = [tr_ticks * (index + 1) // max(len(slices), 1) for index in range(len(slices))]
            for average, lines in self._repetitions():
                self._repetition(slices, slot_ends, average, lines)
        self._define()

    def _repetition(self, slices: list[int], slot_ends: list[int], average: int, lines: list[int]) -> None:
        """One shot of every slice of a package."""
        is_new, before = tuple(lines) not in self._played, self.n_blocks
        self._played.add(tuple(lines))
        start = 0
        for count, (index, end) in enumerate(zip(slices, slot_ends, strict=True), start=1):
            self._shot(index, average, lines)
            self._wait((end - start) * RASTER_S - self.events.timing.shot_s)
            start = end
            if is_new and count == min(2, len(slices)):
                self.every_waveform.append(range(before, self.n_blocks))

    @property
    def n_blocks(self) -> int:
        """Blocks so far."""
        return len(self.events.sequence.block_events)

    def _repetitions(self) -> Iterator[tuple[int, list[int]]]:
        """(average, line of each echo) of one package in time; a dummy shot reads nothing."""
        for _ in range(self.protocol.schedule.dummy_shots):
            yield 0, [NOT_READ] * self.protocol.echo_train.echo_train_length
        for average, shots in enumerate(self.plan.lines.tolist()):
            for lines in shots:
                yield average, lines

    def _shot(self, index: int, average: int, lines: list[int]) -> None:
        events, add = self.events, self.events.sequence.add_block
        for block in events.inversion(index):
            add(*block)
        labels = [events.label("SLC", index), events.label("AVG", average), events.label("REP", 0)]
        add(events.excitation(index), events.slice_gradient, *labels)
        add(events.balance, events.prephaser)
        for echo, (line, angle_deg) in enumerate(zip(lines, events.angles_deg, strict=True)):
            add(events.refocusing(index, angle_deg), events.refocusing_plateau)
            add(events.crusher_after, events.read_up, events.encoding(line))
            read = [events.adc, events.label("LIN", line), events.label("SEG", echo)] if line != NOT_READ else []
            add(events.read_plateau, *read)
            if echo < len(lines) - 1:
                add(events.crusher_before, events.read_down, events.encoding(line, rewind=True))
        add(events.spoiler, events.read_down_spoiling, events.encoding(lines[-1], rewind=True))

    def _wait(self, duration_s: float) -> None:
        if round(duration_s / RASTER_S) > 0:
            self.events.sequence.add_block(self.events.delay(duration_s))

    def _define(self) -> None:
        protocol, geometry, train = self.protocol, self.protocol.geometry, self.protocol.echo_train
        pitch_m = geometry.slice_thickness_m + geometry.slice_gap_m
        extent_m = geometry.field_of_view_phase_m * (1 + geometry.phase_oversampling)
        define = self.events.sequence.set_definition
        define("Name", protocol.name or "knerve")
        define("FOV", [geometry.field_of_view_read_m, extent_m, geometry.n_slices * pitch_m - geometry.slice_gap_m])
        define("Matrix", [self.events.timing.sampling.n_samples, self.plan.n_full, geometry.n_slices])
        define("kSpaceCenterLine", self.plan.n_full // 2)
        define("SliceThickness", geometry.slice_thickness_m)
        define("SlicePositions", [self.events.position_m(index) for index in range(geometry.n_slices)])
        define("TR", protocol.schedule.repetition_time_s)
        define("TE", self.plan.effective_echo_time_s)
        if protocol.fat_suppression.inversion_time_s is not None:
            define("TI", protocol.fat_suppression.inversion_time_s)
        define("EchoSpacing", train.echo_spacing_s)
        define("EchoTrainLength", train.echo_train_length)
        define("TotalDuration", round(float(self.events.sequence.duration()[0]), 9))


def interleaved(indices: range) -> list[int]:
    """Every second slice, then the others, so that neighbours are not excited one right after the other."""
    return [*indices[::2], *indices[1::2]]
