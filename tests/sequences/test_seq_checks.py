"""The checks of a finished sequence: right where it is right, against PyPulseq, and alarmed by every sabotage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from knerve.sequences.echo_order import plan_echoes
from knerve.sequences.errors import ProtocolError
from knerve.sequences.pns import EXAMPLE_HARDWARE
from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_export import build_sequence, export
from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.seq_blocks import seq_blocks
from knerve.sequences.seq_checks import integrity_checks, scanner_checks
from knerve.sequences.seq_kspace import readouts
from knerve.sequences.seq_waveform import kind_gradients, waveform_mt_per_m

pytest.importorskip("sigpy", reason="SigPy designs the pulses")
pytest.importorskip("pypulseq", reason="PyPulseq builds the sequence")


@pytest.fixture(scope="module")
def protocol():
    """`stir` with two slices."""
    full = Protocol.load("stir")
    return replace(full, geometry=replace(full.geometry, n_slices=2))


@pytest.fixture
def sequence(protocol):
    return build_sequence(protocol)


def failed(sequence, protocol):
    blocks = seq_blocks(sequence)
    checks = integrity_checks(blocks, kind_gradients(blocks), protocol, plan_echoes(protocol))
    return {check.name for check in checks if check.verdict != "pass"}


def test_a_right_sequence_passes(sequence, protocol):
    assert failed(sequence, protocol) == set()


def test_blocks_repeat_but_nothing_is_lost(sequence):
    blocks = seq_blocks(sequence)
    assert len(blocks.kind) == len(sequence.block_events)
    assert len(blocks.examples) < len(blocks.kind) / 2
    assert blocks.duration_s == pytest.approx(60.0)
    assert blocks.start_s[-1] == pytest.approx(60.0 - list(sequence.block_durations.values())[-1])


def test_waveform_and_places_equal_pypulseqs(sequence):
    blocks = seq_blocks(sequence)
    gradients = kind_gradients(blocks)
    first_shot = range(43)  # inversion, spoilers, wait, excitation, balance, nine echoes, spoiler and wait
    ours = waveform_mt_per_m(blocks, gradients, [first_shot])
    times_s = (np.arange(ours.shape[1]) + 0.5) * 1e-5
    for axis, (corner_s, heights) in enumerate(sequence.waveforms_and_times()[0]):
        theirs = np.interp(times_s, corner_s, heights, left=0, right=0) / GAMMA_HZ_PER_T * 1e3
        middles = (ours[axis, :-1] + ours[axis, 1:]) / 2
        assert theirs[:-1] == pytest.approx(middles, abs=1e-3)
    k_adc, *_ = sequence.calculate_kspace()
    echoes = k_adc.reshape(3, -1, 640)[:, :, 320].T
    assert readouts(blocks, gradients).k == pytest.approx(echoes, abs=2e-3)


def test_rests_are_cut_and_nothing_else(sequence):
    blocks = seq_blocks(sequence)
    gradients, run = kind_gradients(blocks), [range(43)]
    whole, cut = (waveform_mt_per_m(blocks, gradients, run, rest_s) for rest_s in (np.inf, 0.03))
    assert whole.shape[1] - cut.shape[1] > 2e4  # most of the inversion time, and of the wait for the second slice
    assert np.abs(np.diff(whole)).sum() == pytest.approx(np.abs(np.diff(cut)).sum())


def test_timing_off_the_raster_is_found_as_pypulseq_finds_it(sequence, protocol):
    assert (sequence.check_timing()[0], seq_blocks(sequence).timing_problems()) == (True, [])
    adc = sequence.adc_library.data[1]
    sequence.adc_library.data[1] = (adc[0], adc[1], adc[2] + 0.3e-6, *adc[3:])
    sequence.block_cache.clear()  # PyPulseq remembers blocks that it was asked for
    everywhere, once = sequence.check_timing()[1], seq_blocks(sequence).timing_problems()
    assert len(everywhere) > len(once) == 1
    assert everywhere[0].error_type == once[0].error_type == "RASTER"
    assert "timing (PyPulseq)" in failed(sequence, protocol)


def test_a_line_read_twice_is_found(sequence, protocol):
    reads = [events for events in sequence.block_events.values() if events[5]]
    reads[0][6] = reads[18][6]  # the labels of the second repetition's first echo
    assert failed(sequence, protocol) == {"lines not read once per average", "ky against the line's label"}


@pytest.mark.parametrize(
    ("axis", "alarm"),
    [(2, {"kx at the echo"}), (3, {"ky against the line's label"}), (4, {"kz at the echo"})],
)
def test_a_wrong_moment_is_found(sequence, protocol, axis, alarm):
    events = np.stack(list(sequence.block_events.values()))
    identity = int(events[4, axis]) if axis != 3 else int(events[6, axis])  # beside the balance; the first encoding
    data = sequence.grad_library.data[identity]
    sequence.grad_library.data[identity] = (data[0] * 1.01, *data[1:])
    assert failed(sequence, protocol) == alarm


def test_a_wrong_inversion_time_and_duration_are_found(sequence, protocol):
    wait = next(number for number, duration_s in sequence.block_durations.items() if 0.2 < duration_s < 0.22)
    sequence.block_durations[wait] += 0.001
    assert failed(sequence, protocol) == {"inversion time against the protocol", "duration against the protocol"}


def test_gradients_pulses_and_stimulation_of_the_whole_scan(sequence, protocol):
    blocks = seq_blocks(sequence)
    gradients, everything = kind_gradients(blocks), [range(len(sequence.block_events))]
    checks = {each.name: each for each in scanner_checks(blocks, gradients, everything, protocol, EXAMPLE_HARDWARE)}
    assert checks["gradient, one axis"].value < checks["gradient, vector"].value < 40
    assert checks["slew rate, one axis"].value < checks["slew rate, vector"].value < 150
    assert checks["nerve stimulation (SAFE)"].verdict == "not evaluated"
    rf = sequence.get_block(1).rf
    assert checks["peak B1"].value >= np.abs(rf.signal).max() / GAMMA_HZ_PER_T * 1e6


def test_the_shots_that_are_looked_at_hold_the_worst_moment(sequence, protocol, tmp_path):
    """Two slots of every distinct repetition tell what the whole scan does, sample by sample."""
    blocks = seq_blocks(sequence)
    everything = [range(len(sequence.block_events))]
    whole = scanner_checks(blocks, kind_gradients(blocks), everything, protocol, EXAMPLE_HARDWARE)
    exported = {each.name: each for each in export(protocol, tmp_path / "scan.seq").checks}
    for check in whole:
        assert exported[check.name].value == pytest.approx(check.value, rel=1e-9), check.name


def test_coefficients_of_a_real_scanner_are_judged(protocol, tmp_path):
    theirs = replace(EXAMPLE_HARDWARE, name="theirs", is_real=True)
    verdicts = {each.name: each.verdict for each in export(protocol, tmp_path / "scan.seq", hardware=theirs).checks}
    assert verdicts["nerve stimulation (SAFE)"] == "pass"


def test_a_sequence_that_breaks_its_protocol_is_not_written(protocol, tmp_path, monkeypatch):
    other = replace(protocol, undersampling=replace(protocol.undersampling, seed=5))
    monkeypatch.setattr("knerve.sequences.pulseq_export.integrity_checks", _against(other))
    with pytest.raises(ProtocolError, match=r"not what the protocol says: lines not read .* Please report this"):
        export(protocol, tmp_path / "scan.seq")
    assert not list(tmp_path.iterdir())


def _against(other):
    return lambda blocks, gradients, _protocol, _plan: integrity_checks(blocks, gradients, other, plan_echoes(other))
