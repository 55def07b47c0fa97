"""A protocol as a Pulseq file for a research scanner: 2-D multislice turbo spin echo.

    export(Protocol.load("navigate"), Path("navigate.seq"))

The pulses, angles, lines and times are those that `evaluate` reports on. Gradients are logical: x reads, y encodes, z selects;
the scanner's interpreter turns them. Nothing here is a safety clearance. Labels of each readout: LIN (ky = 0 is the definition
`kSpaceCenterLine`), SLC from one end to the other in space, AVG, REP and SEG, the echo.

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
from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_events import TseEvents
from knerve.sequences.tse_timing import RASTER_S, ticks

if TYPE_CHECKING:
    from pypulseq import Sequence

PulseqVersion = Literal["1.5", "1.4.1"]


@dataclass(frozen=True)
class Export:
    """What was written: format version, played time without prescan, blocks, readouts."""

    version: PulseqVersion
    duration_s: float
    n_blocks: int
    n_readouts: int


def export(protocol: Protocol, path: Path, version: PulseqVersion = "1.5") -> Export:
    """Write a protocol as a .seq file; an interrupted export leaves the old file.

    Raises:
        ProtocolError: the protocol cannot be played as a .seq file, or PyPulseq is missing.
        OSError: the file cannot be written.
    """
    if path.suffix != ".seq":
        raise ProtocolError(f"The export writes Pulseq, not {path.name!r}; give a name that ends in .seq.")
    sequence = build_sequence(protocol)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        aside = Path(folder) / path.name
        # remove_duplicates copies the sequence; its events are registered once each already
        sequence.write(str(aside), remove_duplicates=False, check_timing=False, v141_compat=version == "1.4.1")
        aside.replace(path)
    duration_s, n_blocks, _ = sequence.duration()
    n_readouts = sum(1 for block in sequence.block_events.values() if block[5])
    return Export(version, round(float(duration_s), 9), int(n_blocks), n_readouts)


def build_sequence(protocol: Protocol) -> Sequence:
    """The `pypulseq.Sequence` of a protocol, its timing checked.

    Raises:
        ProtocolError: the protocol cannot be played as a .seq file, or PyPulseq is missing.
    """
    _check_method(protocol)
    shots = _Shots(protocol)
    shots.play()
    is_ok, problems = shots.events.sequence.check_timing()
    if not is_ok:
        raise ProtocolError(f"PyPulseq refuses the timing of {protocol.name!r}: {problems[0]}. Please report this.")
    return shots.events.sequence


class _Shots:
    """Plays the shots of a protocol in their order."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol, self.plan = protocol, plan_echoes(protocol)
        self.events = TseEvents(protocol, self.plan.n_full)

    def play(self) -> None:
        """All packages, dummy shots, averages and shots; each repetition lasts TR to the raster."""
        schedule = self.protocol.schedule
        tr_ticks = ticks("schedule.repetition_time_s", schedule.repetition_time_s)
        for package in range(schedule.packages):
            slices = interleaved(range(package, self.protocol.geometry.n_slices, schedule.packages))
            slot_ends = [tr_ticks * (index + 1) // max(len(slices), 1) for index in range(len(slices))]
            self._check_slot(tr_ticks, len(slices))
            for average, lines in self._repetitions():
                start = 0
                for index, end in zip(slices, slot_ends, strict=True):
                    self._shot(index, average, lines)
                    self._wait((end - start) * RASTER_S - self.events.timing.shot_s)
                    start = end
        self._define()

    def _repetitions(self) -> Iterator[tuple[int, list[int]]]:
        """(average, line of each echo) of one package in time; a dummy shot reads nothing."""
        for _ in range(self.protocol.schedule.dummy_shots):
            yield 0, [NOT_READ] * self.protocol.echo_train.echo_train_length
        for average, shots in enumerate(self.plan.lines.tolist()):
            for lines in shots:
                yield average, lines

    def _shot(self, index: int, average: int, lines: list[int]) -> None:
        events, add = self.events, self.events.sequence.add_block
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

    def _check_slot(self, tr_ticks: int, n_slices: int) -> None:
        needed = round(self.events.timing.shot_s / RASTER_S)
        if n_slices and tr_ticks // n_slices < needed:
            nearest = round(needed * n_slices * RASTER_S * 1e3, 2)
            raise ProtocolError(
                f"schedule.repetition_time_ms is {tr_ticks * RASTER_S * 1e3:g}; {n_slices} shots of "
                f"{needed * RASTER_S * 1e3:g} ms with their gradients need more. Nearest valid value: {nearest:g}.",
                field="schedule.repetition_time_ms",
                nearest=nearest,
            )

    def _define(self) -> None:
        protocol, geometry, train = self.protocol, self.protocol.geometry, self.protocol.echo_train
        pitch_m = geometry.slice_thickness_m + geometry.slice_gap_m
        extent_m = geometry.field_of_view_phase_m * (1 + geometry.phase_oversampling)
        define = self.events.sequence.set_definition
        define("Name", protocol.name or "knerve")
        define("FOV", [geometry.field_of_view_read_m, extent_m, geometry.n_slices * pitch_m - geometry.slice_gap_m])
        define("Matrix", [self.events.timing.n_samples, self.plan.n_full, geometry.n_slices])
        define("kSpaceCenterLine", self.plan.n_full // 2)
        define("SliceThickness", geometry.slice_thickness_m)
        define("SlicePositions", [self.events.position_m(index) for index in range(geometry.n_slices)])
        define("TR", protocol.schedule.repetition_time_s)
        define("TE", self.plan.effective_echo_time_s)
        define("EchoSpacing", train.echo_spacing_s)
        define("EchoTrainLength", train.echo_train_length)
        define("TotalDuration", round(float(self.events.sequence.duration()[0]), 9))


def interleaved(indices: range) -> list[int]:
    """Every second slice, then the others, so that neighbours are not excited one right after the other."""
    return [*indices[::2], *indices[1::2]]


def _check_method(protocol: Protocol) -> None:
    method = protocol.fat_suppression.method
    if method != "none":
        raise ProtocolError(
            f"fat_suppression.method is '{method}'; inversion pulses are not exported yet. "
            "Nearest valid value: none, without fat_suppression.inversion_time_ms.",
            field="fat_suppression.method",
            nearest="none",
        )
