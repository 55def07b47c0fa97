"""The .seq files of every preset as three parsers of others read them; none is PyPulseq, and each version has two.

A parser tells when which pulse plays, what the gradients integrate to, when samples are taken, and the labels where it reads
labels. From that `followed` walks along k-space, so lines, slices and echo times are those of the gradients.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from knerve.sequences.echo_order import plan_echoes
from knerve.sequences.timing import scan_time

RASTER_S = 1e-5
LABELS = ("SLC", "AVG", "SEG", "LIN")
READERS = [
    ("1.4.1", "pydisseqt"),
    ("1.4.1", "pulseq_rs"),
    ("1.5", "pulseq_rs"),
    ("1.5", "pypulseqpp"),
]


@dataclass(frozen=True)
class Pulse:
    """A pulse: its effective moment in s, its angle, and the place in m where it is on resonance."""

    centre_s: float
    angle_deg: float
    place_m: float


@dataclass(frozen=True)
class Scan:
    """What a parser found; a readout is seen at its first sample, at the sample n / 2 of the echo, and at its last.

    Attributes:
        duration_s: of the whole file.
        k: (readout, 3, axis) in 1/m.
        echo: (readout) refocusing pulses since the excitation, less one.
        echo_time_s: (readout) from the excitation to the sample of the echo.
        place_m: (readout) of the excited slice.
        labels: (readout) each; None from a parser that reads none.
        n_samples: of a readout.
    """

    duration_s: float
    k: np.ndarray
    echo: np.ndarray
    echo_time_s: np.ndarray
    place_m: np.ndarray
    labels: dict[str, np.ndarray] | None
    n_samples: int


def followed(pulses, at_pulses, samples_s, at_samples, duration_s, labels, n_samples) -> Scan:
    """Walk through k-space: an excitation of 90 degrees puts it to 0, any other pulse turns its sign.

    Args:
        pulses: in time.
        at_pulses: (pulse, axis) gradient moments at the pulses, since the start.
        samples_s: (readout, 3).
        at_samples: (readout, 3, axis) gradient moments at these samples.
        duration_s: as in `Scan`, like the rest.
        labels: see there.
        n_samples: see there.
    """
    starts, rows = [pulse.centre_s for pulse in pulses], []
    k, first, echo, done = np.zeros(3), 0, -1, 0
    for samples, moments in zip(samples_s, at_samples, strict=True):
        for index in range(done, bisect_right(starts, samples[0])):
            k, echo, done = -(k + at_pulses[index] - at_pulses[max(index - 1, 0)]), echo + 1, index + 1
            if abs(pulses[index].angle_deg - 90) < 1:
                k, first, echo = np.zeros(3), index, -1
        rows.append((k + moments - at_pulses[done - 1], echo, samples[1] - starts[first], pulses[first].place_m))
    columns = (np.array(column) for column in zip(*rows, strict=True))
    return Scan(duration_s, *columns, labels, n_samples)


def three_samples(times: list[float]) -> tuple[float, float, float]:
    return times[0], times[len(times) // 2], times[-1]


def read_by_pydisseqt(parser, path) -> Scan:
    sequence = parser.load_pulseq(str(path))

    def windows(kind):
        window = sequence.encounter(kind, -1.0)
        while window is not None:
            yield window
            window = sequence.encounter(kind, window[1])

    slices = list(windows("grad z"))
    slice_starts = [start for start, _ in slices]
    pulses = []
    for start, end in windows("rf"):
        gradient = slices[bisect_right(slice_starts, start) - 1]  # the pulse's moment is the middle of its gradient
        middle_s = (gradient[0] + gradient[1]) / 2
        sample = sequence.sample_one(middle_s)
        angle_deg = math.degrees(sequence.integrate_one(start, end).pulse.angle)
        pulses.append(Pulse(middle_s, angle_deg, sample.pulse.frequency / sample.gradient.z))
    readouts = [sequence.events("adc", *window) for window in windows("adc")]
    samples_s = np.array([three_samples(times) for times in readouts])

    times = np.concatenate([[pulse.centre_s for pulse in pulses], samples_s.ravel()])
    order = np.argsort(times)
    parts = sequence.integrate([0.0, *times[order]]).gradient
    moments = np.empty((len(times), 3))
    moments[order] = np.cumsum([parts.x, parts.y, parts.z], axis=1).T
    at_pulses, at_samples = np.split(moments, [len(pulses)])
    shape = (len(readouts), 3, 3)
    return followed(
        pulses, at_pulses, samples_s, at_samples.reshape(shape), sequence.duration(), None, len(readouts[0])
    )


def read_by_pulseq_rs(parser, path) -> Scan:
    sequence = parser.load_pulseq_rs(str(path))
    pulses, at_pulses, samples_s, at_samples, labels = [], [], [], [], []
    until_block = np.zeros(3)
    for block in sequence.blocks:
        gradients = (block.gx, block.gy, block.gz)

        def moment_at(time_s, gradients=gradients, until_block=until_block):
            return until_block + [0.0 if axis is None else axis.integrate(0.0, time_s) for axis in gradients]

        if block.rf:
            middle_s = block.gz.delay + block.gz.shape_duration / 2  # the pulse's moment is the middle of its gradient
            angle_rad, _ = block.rf.integrate(0.0, block.duration)
            place_m = block.rf.freq / block.gz.sample(middle_s)
            pulses.append(Pulse(block.start + middle_s, math.degrees(angle_rad), place_m))
            at_pulses.append(moment_at(middle_s))
        if block.adc:
            samples = three_samples(block.adc.sample_times())
            samples_s.append([block.start + sample for sample in samples])
            at_samples.append([moment_at(sample) for sample in samples])
            standing = block.adc.labels()
            labels.append([standing[name.lower()] for name in LABELS])
            n_samples = block.adc.num
        until_block = moment_at(block.duration)
    columns = dict(zip(LABELS, np.array(labels).T, strict=True))
    moments = np.array(at_pulses), np.array(samples_s), np.array(at_samples)
    return followed(pulses, *moments, sequence.duration, columns, n_samples)


def read_by_pypulseqpp(parser, path) -> Scan:
    """It follows k-space itself, by the uses of the pulses that the file states."""
    sequence = parser.read(path)
    found = sequence.rf_times(compat=False)
    excites, refocuses = (np.array(found.use) == use for use in ("excitation", "refocusing"))
    starts, refocused = found.t[excites], found.t[refocuses]
    heights = [sequence.get_block(int(block)).gz.amplitude for block in found.block[excites]]
    labels = {name: np.asarray(values) for name, values in sequence.evaluate_labels(evolution="adc").items()}
    n_readouts = len(labels["LIN"])
    times_s = sequence.adc_times()[0].reshape(n_readouts, -1)
    n_samples = times_s.shape[1]
    picked = [0, n_samples // 2, n_samples - 1]
    parts = []
    for first in range(0, n_readouts, 512):  # all at once would fill the memory
        k = sequence.adc_kspace(readouts=(first, min(first + 512, n_readouts)))
        parts.append(k.reshape(3, -1, n_samples)[:, :, picked])
    shot = np.searchsorted(starts, times_s[:, 0]) - 1
    return Scan(
        duration_s=sequence.duration()[0],
        k=np.concatenate(parts, axis=1).transpose(1, 2, 0),
        echo=np.searchsorted(refocused, times_s[:, 0]) - np.searchsorted(refocused, starts[shot]) - 1,
        echo_time_s=times_s[:, n_samples // 2] - starts[shot],
        place_m=(found.freq_offset[excites] / heights)[shot],
        labels=labels,
        n_samples=n_samples,
    )


READ: dict[str, Callable] = {
    "pydisseqt": read_by_pydisseqt,
    "pulseq_rs": read_by_pulseq_rs,
    "pypulseqpp": read_by_pypulseqpp,
}


@pytest.fixture(scope="session")
def read(request, written):
    """Reads a version of a preset by a parser, once."""

    @cache
    def scan_by(reader, name, version) -> Scan:
        parser = request.getfixturevalue(reader)  # first, so that nothing is written where the parser is absent
        return READ[reader](parser, written(name, version))

    return scan_by


@pytest.fixture(scope="module", params=READERS, ids=lambda pair: f"{pair[1]} {pair[0]}")
def scan(request, protocol, read):
    version, reader = request.param
    return read(reader, protocol.name, version)


def extent_m(protocol) -> float:
    """Of the whole grid of lines: 1 / dk."""
    return protocol.geometry.field_of_view_phase_m * (1 + protocol.geometry.phase_oversampling)


def lines_of(scan, protocol) -> np.ndarray:
    """The line that the gradients read, as a fraction."""
    return scan.k[:, 1, 1] * extent_m(protocol) + plan_echoes(protocol).n_full // 2


def slices_of(scan, protocol) -> np.ndarray:
    """The slice that the pulses excite, as a fraction."""
    geometry = protocol.geometry
    return scan.place_m / (geometry.slice_thickness_m + geometry.slice_gap_m) + (geometry.n_slices - 1) / 2


def test_the_duration_is_the_scan_time(scan, protocol):
    played_s = scan_time(protocol).total_s - protocol.schedule.prescan_s
    assert scan.duration_s == pytest.approx(played_s, abs=RASTER_S)


def test_the_gradients_read_every_planned_line_once_per_average_in_every_slice(scan, protocol):
    lines, slices = lines_of(scan, protocol), slices_of(scan, protocol)
    assert np.abs(lines - lines.round()).max() < 3e-3
    assert np.abs(slices - slices.round()).max() < 1e-3
    plan = plan_echoes(protocol)
    expected = Counter(
        (slice_index, echo, line)
        for (_, _, echo), line in np.ndenumerate(plan.lines)
        if line >= 0
        for slice_index in range(protocol.geometry.n_slices)
    )
    columns = (slices.round().astype(int), scan.echo, lines.round().astype(int))
    assert Counter(zip(*(column.tolist() for column in columns), strict=True)) == expected
    per_line = Counter(zip(columns[0].tolist(), columns[2].tolist(), strict=True))
    assert set(per_line.values()) == {protocol.schedule.averages}


def test_the_labels_name_what_the_gradients_do(scan, protocol, read):
    labels = scan.labels
    if labels is None:  # gradients by one parser, labels by another
        labels = read("pulseq_rs", protocol.name, "1.4.1").labels
    assert np.array_equal(labels["LIN"], lines_of(scan, protocol).round())
    assert np.array_equal(labels["SLC"], slices_of(scan, protocol).round())
    assert np.array_equal(labels["SEG"], scan.echo)
    plan = plan_echoes(protocol)
    counted = Counter(zip(*(labels[name].tolist() for name in ("AVG", "SEG", "LIN")), strict=True))
    planned = Counter(
        (average, echo, int(line)) for (average, _, echo), line in np.ndenumerate(plan.lines) if line >= 0
    )
    assert counted == Counter({key: count * protocol.geometry.n_slices for key, count in planned.items()})
    once = Counter(zip(*(labels[name].tolist() for name in ("SLC", "AVG", "LIN")), strict=True))
    assert set(once.values()) == {1}


def test_the_centre_of_k_space_is_read_at_the_echo_time(scan, protocol):
    at_centre = np.abs(lines_of(scan, protocol) - plan_echoes(protocol).n_full // 2) < 0.5
    assert at_centre.sum() == protocol.geometry.n_slices * protocol.schedule.averages
    np.testing.assert_allclose(scan.echo_time_s[at_centre], protocol.echo_train.echo_time_s, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scan.k[at_centre, 1, 1:], 0, rtol=0, atol=1e-2)  # 1/m
    spacing_s = protocol.echo_train.echo_spacing_s
    np.testing.assert_allclose(scan.echo_time_s, (scan.echo + 1) * spacing_s, rtol=0, atol=1e-6)


def test_slices_are_rephased_and_readouts_are_centred(scan, protocol):
    assert np.abs(scan.k[:, :, 2]).max() < 1e-2  # 1/m
    step = 1 / (2 * protocol.geometry.field_of_view_read_m)  # readouts are oversampled twice
    assert np.abs(scan.k[:, 1, 0]).max() < 0.05 * step  # delays of readouts lie on a raster of 1 us
    width = scan.k[:, 2, 0] - scan.k[:, 0, 0]
    np.testing.assert_allclose(width, (scan.n_samples - 1) * step, rtol=1e-5)
    assert scan.n_samples * step >= 1 / protocol.geometry.voxel_read_m
