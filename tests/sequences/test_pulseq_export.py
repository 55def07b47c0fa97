"""The .seq files of a protocol: read back by a parser of this test's own, and their gradients integrated."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from knerve import cli
from knerve.sequences.echo_order import plan_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_export import build_sequence, export, interleaved
from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.sections import FatSuppression

pytest.importorskip("sigpy", reason="SigPy designs the pulses")
pytest.importorskip("pypulseq", reason="PyPulseq writes the files")

RASTER_S = 1e-5


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    """`navigate` with two slices, two averages and a dummy shot."""
    full = Protocol.load("navigate")
    return replace(
        full,
        geometry=replace(full.geometry, n_slices=2),
        schedule=replace(full.schedule, averages=2, dummy_shots=1),
    )


@pytest.fixture(scope="module", params=["1.5", "1.4.1"])
def written(request, protocol, tmp_path_factory):
    path = tmp_path_factory.mktemp("seq") / "scan.seq"
    export(protocol, path, request.param)
    return read_seq(path)


@dataclass(frozen=True)
class Block:
    """A block in time, with its events' ids."""

    start_s: float
    duration_s: float
    rf: int
    y: int
    z: int
    adc: int
    labels: dict[str, int]  # as they stand after this block's own


@dataclass(frozen=True)
class SeqFile:
    """The tables of a file as words, and its blocks."""

    tables: dict[str, list[list[str]]]
    blocks: list[Block]

    def row(self, table: str, event: int) -> list[float]:
        """The numbers of an event after its id."""
        row = next(row for row in self.tables[table] if int(row[0]) == event)
        return [float(value) for value in row[1:] if value not in "eri"]

    def n_samples(self, pulse: int) -> int:
        """How many samples of 1 µs a pulse has."""
        shapes = self.tables["SHAPES"]
        at = shapes.index(["shape_id", str(int(self.row("RF", pulse)[1]))])
        return int(shapes[at + 1][1])

    def delay_s(self, pulse: int) -> float:
        """When a pulse begins in its block: version 1.5 gives its middle first."""
        row = self.row("RF", pulse)
        return row[5 if len(row) > 8 else 4] * 1e-6

    def definition(self, name: str) -> list[str]:
        """The words of a definition."""
        return next(row[1:] for row in self.tables["DEFINITIONS"] if row[0] == name)


def read_seq(path: Path) -> SeqFile:
    tables: dict[str, list[list[str]]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            name = line.strip("[]")
        elif line.startswith("extension"):
            _, name, _ = line.split()
        elif line.strip() and not line.startswith("#"):
            tables.setdefault(name, []).append(line.split())
    labels = {int(row[0]): (row[2], int(row[1])) for row in tables["LABELSET"]}
    extensions = {int(row[0]): [int(value) for value in row[1:]] for row in tables["EXTENSIONS"]}
    blocks, standing, start = [], dict[str, int](), 0
    for row in tables["BLOCKS"]:
        _, duration, rf, _, y, z, adc, extension = map(int, row)
        while extension:
            _, reference, extension = extensions[extension]
            standing = standing | dict([labels[reference]])
        blocks.append(Block(start * RASTER_S, duration * RASTER_S, rf, y, z, adc, standing))
        start += duration
    return SeqFile(tables, blocks)


def readouts(seq: SeqFile) -> list[tuple[int, Block]]:
    return [(index, block) for index, block in enumerate(seq.blocks) if block.adc]


def encoded_line(seq: SeqFile, block: Block, protocol: Protocol) -> float:
    """The ky of a phase-encoding lobe in lines."""
    amplitude, rise_us, flat_us, _, _ = seq.row("TRAP", block.y)
    return amplitude * (rise_us + flat_us) * 1e-6 * protocol.geometry.field_of_view_phase_m


def test_every_line_once_per_average_and_where_the_protocol_says(written, protocol):
    plan = plan_echoes(protocol)
    expected = Counter(
        (slice_index, average, echo, line)
        for slice_index in range(2)
        for (average, _, echo), line in np.ndenumerate(plan.lines)
        if line >= 0
    )
    read = Counter(tuple(block.labels[name] for name in ("SLC", "AVG", "SEG", "LIN")) for _, block in readouts(written))
    assert read == expected
    assert set(Counter((s, a, line) for s, a, _, line in read.elements()).values()) == {1}


def test_the_gradients_encode_the_line_of_the_label_and_rewind_it(written, protocol):
    centre = int(written.definition("kSpaceCenterLine")[0])
    for index, block in readouts(written):
        before, after = written.blocks[index - 1], written.blocks[index + 1]
        line = block.labels["LIN"] - centre
        assert encoded_line(written, before, protocol) == pytest.approx(line, abs=1e-3)
        assert encoded_line(written, after, protocol) == pytest.approx(-line, abs=1e-3)


def test_the_echo_of_the_echo_time_reads_the_centre(written, protocol):
    centre, spacing_s = int(written.definition("kSpaceCenterLine")[0]), protocol.echo_train.echo_spacing_s
    samples, dwell_ns, delay_us = written.row("ADC", 1)[:3]
    n_found = 0
    for index, block in readouts(written):
        if block.labels["LIN"] != centre:
            continue
        first = written.blocks[index - 2 - 4 * block.labels["SEG"]]  # the first refocusing pulse of this train
        echo_s = block.start_s + delay_us * 1e-6 + (samples + 1) / 2 * dwell_ns * 1e-9
        te_s = echo_s - (first.start_s + first.duration_s / 2) + spacing_s / 2
        assert te_s == pytest.approx(protocol.echo_train.echo_time_s, abs=1e-6)
        n_found += 1
    assert n_found == 2 * 2


def test_pulses_come_at_equal_distances_and_shots_every_tr(written, protocol):
    spacing_s = protocol.echo_train.echo_spacing_s
    blocks = written.blocks
    excitations = [first for first, second in pairwise(blocks) if first.rf and not second.y and second.z]
    first_slice = [block.start_s for block in excitations if block.labels["SLC"] == 0]
    assert len(first_slice) == 1 + 2 * 11
    assert np.diff(first_slice) == pytest.approx(np.full(22, 3.0), abs=1e-9)
    middles = [block.start_s + block.duration_s / 2 for block in written.blocks[2:62:4]]
    assert np.diff(middles) == pytest.approx(np.full(14, spacing_s), abs=1e-9)


def test_total_duration(written):
    last = written.blocks[-1]
    assert last.start_s + last.duration_s == pytest.approx(3.0 * (1 + 2 * 11), abs=1e-9)


def test_each_pulse_has_the_gradient_and_the_offset_of_its_own_bandwidth(written, protocol):
    excite, refocus = written.blocks[0], written.blocks[2]
    excitation, refocusing = 4 / 0.00256 / 0.003, 3 / 0.0025 / 0.0036  # Hz/m
    assert written.row("TRAP", excite.z)[0] == pytest.approx(excitation, rel=1e-5)
    assert written.row("GRADIENTS", refocus.z)[0] == pytest.approx(refocusing, rel=1e-5)
    place_m = -0.5 * (protocol.geometry.slice_thickness_m + protocol.geometry.slice_gap_m)
    assert written.row("RF", excite.rf)[-2] == pytest.approx(excitation * place_m, rel=1e-5)
    assert written.row("RF", refocus.rf)[-2] == pytest.approx(refocusing * place_m, rel=1e-5)


def test_the_excitation_is_ninety_degrees_ahead_in_every_slice(protocol, tmp_path):
    export(protocol, tmp_path / "scan.seq")
    seq = read_seq(tmp_path / "scan.seq")
    assert len(seq.tables["RF"]) == 4
    for row in seq.tables["RF"]:
        _, _, _, _, _, centre_us, _, _, _, offset_hz, phase_rad, use = row
        at_centre = float(phase_rad) + 2 * math.pi * float(offset_hz) * float(centre_us) * 1e-6
        expected = {"e": 1j, "r": 1.0}[use]
        assert np.exp(1j * at_centre) == pytest.approx(expected, abs=1e-4)


def test_moments_and_limits(protocol):
    small = replace(protocol, schedule=replace(protocol.schedule, averages=1, dummy_shots=0))
    sequence, plan = build_sequence(small), plan_echoes(small)
    k_adc, *_ = sequence.calculate_kspace()
    k_adc = k_adc.reshape(3, -1, 1104)
    echo = k_adc[:, :, 552]
    assert np.abs(echo[0]).max() < 1e-3  # 1/m; k-space reaches 1724
    assert np.abs(k_adc[2]).max() < 1e-2
    assert k_adc[0, 0, 1103] - k_adc[0, 0, 0] == pytest.approx(1103 / 0.32, rel=1e-6)
    lines = np.stack([plan.lines[0]] * 2, axis=1).reshape(-1)
    assert echo[1] * 0.16 + 242 == pytest.approx(lines, abs=1e-3)
    for times_s, heights in (wave for wave in sequence.waveforms_and_times()[0]):
        slew = np.diff(heights) / np.maximum(np.diff(times_s), 1e-9)
        assert np.abs(heights).max() <= 0.04 * GAMMA_HZ_PER_T * (1 + 1e-9)
        assert np.abs(slew[np.diff(times_s) > 1e-6]).max() <= 150 * GAMMA_HZ_PER_T * (1 + 1e-6)


def test_crushers_wind_whole_cycles_on_both_sides(protocol):
    sequence = build_sequence(protocol)
    blocks = [sequence.get_block(index) for index in range(3, 10)]  # refocus, encode, read, rewind, refocus
    areas = [0.0 if block.gz is None else np.trapezoid(block.gz.waveform, block.gz.tt) for block in blocks]
    after, before = areas[0] / 2 + areas[1], areas[3] + areas[4] / 2
    assert [after * 0.003, before * 0.003] == pytest.approx([4.0, 4.0], abs=1e-6)


def test_slices_are_interleaved():
    order = interleaved(range(0, 10, 2))
    assert sorted(order) == [0, 2, 4, 6, 8]
    assert all(abs(a - b) > 2 for a, b in pairwise(order[:3]))


def test_packages_read_every_slice(protocol, tmp_path):
    packages = replace(
        protocol,
        geometry=replace(protocol.geometry, n_slices=3),
        schedule=replace(protocol.schedule, averages=1, dummy_shots=0, packages=2),
    )
    result = export(packages, tmp_path / "scan.seq")
    assert result.duration_s == 66.0
    counts = Counter(block.labels["SLC"] for _, block in readouts(read_seq(tmp_path / "scan.seq")))
    assert counts == {0: 165, 1: 165, 2: 165}


@pytest.mark.parametrize("version", ["1.5", "1.4.1"])
@pytest.mark.parametrize(("method", "inversion_time_s"), [("stir", 0.22), ("spair", 0.1)])
def test_every_shot_begins_with_its_inversion(method, inversion_time_s, version, tmp_path):
    stir = Protocol.load("stir")
    protocol = replace(
        stir,
        geometry=replace(stir.geometry, n_slices=2),
        fat_suppression=FatSuppression(method, inversion_time_s),
    )
    result = export(protocol, tmp_path / "scan.seq", version)
    seq = read_seq(tmp_path / "scan.seq")
    pulses = [block for block in seq.blocks if block.rf]
    inversions = {pulse for pulse in {block.rf for block in pulses} if seq.n_samples(pulse) == 10_000}
    starts = [at for at, block in enumerate(pulses) if block.rf in inversions]
    assert starts == list(range(0, len(pulses), 11))  # inversion, excitation, nine refocusing pulses
    assert len(starts) == 2 * 12
    for at in starts:
        inversion, excitation = pulses[at], pulses[at + 1]
        _, rise_us, flat_us, _, wait_us = seq.row("TRAP", excitation.z)
        inverted_s = inversion.start_s + seq.delay_s(inversion.rf) + 0.005
        excited_s = excitation.start_s + (wait_us + rise_us + flat_us / 2) * 1e-6
        assert excited_s - inverted_s == pytest.approx(inversion_time_s, abs=1e-9)
        offset_hz = seq.row("RF", inversion.rf)[-2]
        if method == "stir":  # the gradient of the excitation, and its offset
            assert seq.row("TRAP", inversion.z)[0] == seq.row("TRAP", excitation.z)[0]
            assert offset_hz == pytest.approx(seq.row("RF", excitation.rf)[-2])
        else:
            assert (inversion.z, offset_hz) == (0, pytest.approx(-3.4e-6 * GAMMA_HZ_PER_T * 3.0, rel=1e-5))
    assert result.duration_s == 60.0
    assert [float(word) for word in seq.definition("TI")] == [inversion_time_s]


def test_what_show_accepts_is_exported(protocol):
    """Either both take an echo spacing or both refuse it, in the making of the protocol, with a nearest value that is right."""
    small = replace(protocol, schedule=replace(protocol.schedule, averages=1, dummy_shots=0))
    small = replace(small, geometry=replace(small.geometry, n_slices=1))
    refused = 0
    for spacing_s in (8.9e-3, 8.99e-3, 9.02e-3, 9.03e-3, 9.396e-3):
        train = replace(small.echo_train, echo_spacing_s=spacing_s, echo_time_s=8 * spacing_s)
        try:
            accepted = replace(small, echo_train=train)
        except ProtocolError as problem:
            nearest_s = float(str(problem.nearest)) / 1e3
            train = replace(train, echo_spacing_s=nearest_s, echo_time_s=8 * nearest_s)
            accepted, refused = replace(small, echo_train=train), refused + 1
        assert build_sequence(accepted).duration()[0] == pytest.approx(33.0)
    assert refused == 3


def test_the_command_writes_navigate(tmp_path, capsys, monkeypatch):
    out = tmp_path / "navigate.seq"
    monkeypatch.setattr(sys, "argv", ["knerve", "protocol", "export", "navigate", "--out", str(out), "--json"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = json.loads(capsys.readouterr().out)
    assert not stop.value.code
    assert said["duration_s"] == 33.0
    assert said["n_readouts"] == 15 * 165
    verdicts = {check["name"]: check["verdict"] for check in said["checks"]}
    assert verdicts["gradient, vector"] == verdicts["slew rate, vector"] == "pass"
    assert verdicts["nerve stimulation (SAFE)"] == verdicts["peak B1"] == "not evaluated"
    assert [path.name for path in tmp_path.iterdir()] == ["navigate.seq"]
