"""Fat at the predicted null, in a Bloch simulation of the exported sequence: every pulse, gradient and wait of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from knerve.sequences.evaluation import evaluate
from knerve.sequences.fat import fat_shift_hz
from knerve.sequences.fat_null import fat_null_s
from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_export import build_sequence
from knerve.sequences.sections import FatSuppression
from knerve.sequences.tissues import tissue

pytest.importorskip("sigpy", reason="SigPy designs the pulses")
pytest.importorskip("pypulseq", reason="PyPulseq builds the sequence")

FAT_T1_S, FAT_T2_S = 0.371, 0.133  # of the tissue table
N_PLACES, N_READ = 401, 8  # across 10 mm of the slice direction, and across one cycle of the readout gradient
STEP_S = 2e-5
ECHO = 4  # the fifth reads ky = 0


class Spins:
    """Isochromats along the slice, each in a few places along the readout, so that what crushers are to crush is crushed."""

    def __init__(self, read_area_per_m: float, off_resonance_hz: float, centre_m: float) -> None:
        place_m = centre_m + np.linspace(-5e-3, 5e-3, N_PLACES)
        self.z_m = np.tile(place_m, N_READ)
        self.x_m = np.repeat(np.arange(N_READ) / (N_READ * read_area_per_m), N_PLACES)
        self.off_hz = off_resonance_hz
        self.mxy, self.mz = np.zeros(self.z_m.size, dtype=complex), np.ones(self.z_m.size)

    @property
    def signal(self) -> complex:
        """In units of M0 of a slice of 3 mm."""
        return complex(self.mxy.sum() / N_READ * (10e-3 / (N_PLACES - 1)) / 3e-3)

    def relax(self, seconds: float) -> None:
        """Decay and recover."""
        self.mxy = self.mxy * np.exp(-seconds / FAT_T2_S)
        self.mz = 1 + (self.mz - 1) * np.exp(-seconds / FAT_T1_S)

    def precess(self, area_x: float, area_z: float, seconds: float) -> None:
        """Wind by areas in 1/m and off resonance, without a pulse."""
        self.mxy = self.mxy * np.exp(2j * np.pi * (self.x_m * area_x + self.z_m * area_z + self.off_hz * seconds))
        self.relax(seconds)

    def turn(self, b1_hz: complex, gradient: float, seconds: float) -> None:
        """Rotate about the effective field."""
        about_z = 2 * np.pi * (self.z_m * gradient + self.off_hz) * seconds
        about_xy = 2 * np.pi * b1_hz * seconds
        angle = np.maximum(np.sqrt(about_z**2 + abs(about_xy) ** 2), 1e-12)
        nz, nxy = about_z / angle, about_xy / angle
        along = (1 - np.cos(angle)) * (nz * self.mz + (nxy.conjugate() * self.mxy).real)
        cosine, sine = np.cos(angle), np.sin(angle)
        mxy = cosine * self.mxy + 1j * sine * (nz * self.mxy - nxy * self.mz) + along * nxy
        self.mz = cosine * self.mz + sine * (nxy.conjugate() * self.mxy).imag + along * nz
        self.mxy = mxy
        self.relax(seconds)


def area(gradient, start_s, end_s):
    if gradient is None:
        return 0.0
    if gradient.type == "trap":
        times = np.cumsum([gradient.delay, gradient.rise_time, gradient.flat_time, gradient.fall_time])
        heights = np.array([0.0, gradient.amplitude, gradient.amplitude, 0.0])
    else:
        times, heights = gradient.delay + gradient.tt, gradient.waveform
    inside = times[(times > start_s) & (times < end_s)]
    points = np.concatenate([[start_s], inside, [end_s]])
    return float(np.trapezoid(np.interp(points, times, heights, left=0.0, right=0.0), points))


def simulate(sequence, off_resonance_hz, centre_m=0.0, own_hz=None):
    """Signal at every echo of the slice at `centre_m`; other excitations and refocusings than at `own_hz` do not reach it."""
    blocks = [sequence.get_block(number) for number in sequence.block_events]
    durations = list(sequence.block_durations.values())
    first = next(at for at, block in enumerate(blocks) if block.adc is not None)
    read_area = area(blocks[first - 1].gx, 0, durations[first - 1]) + area(blocks[first].gx, 0, durations[first] / 2)
    spins, echoes = Spins(read_area, off_resonance_hz, centre_m), []
    for block, duration_s in zip(blocks, durations, strict=True):
        rf = block.rf
        if rf is not None and own_hz is not None and rf.use != "inversion" and rf.freq_offset not in own_hz:
            rf = None
        if rf is not None:
            play(spins, rf, block.gz, duration_s)
            continue
        middle_s = duration_s
        if block.adc is not None:
            middle_s = block.adc.delay + (block.adc.num_samples / 2 + 0.5) * block.adc.dwell
            spins.precess(area(block.gx, 0, middle_s), area(block.gz, 0, middle_s), middle_s)
            echoes.append(spins.signal)
            spins.precess(
                area(block.gx, middle_s, duration_s), area(block.gz, middle_s, duration_s), duration_s - middle_s
            )
        else:
            spins.precess(area(block.gx, 0, duration_s), area(block.gz, 0, duration_s), duration_s)
    return np.array(echoes)


def play(spins, rf, gradient, duration_s):
    samples = np.zeros(round(duration_s * 1e6), dtype=complex)
    at_s = (np.arange(len(rf.signal)) + 0.5) * 1e-6
    start = round(rf.delay * 1e6)
    samples[start : start + len(rf.signal)] = rf.signal * np.exp(
        1j * (rf.phase_offset + 2 * np.pi * rf.freq_offset * at_s)
    )
    for begin in np.arange(0, duration_s - 1e-9, STEP_S):
        end = min(begin + STEP_S, duration_s)
        b1_hz = complex(samples[round(begin * 1e6) : round(end * 1e6)].mean())
        spins.turn(b1_hz, area(gradient, begin, end) / (end - begin), end - begin)


def small(protocol, repetition_time_s, n_shots, n_slices=1):
    """One echo train after the other: as few lines as the shots hold."""
    return replace(
        protocol,
        geometry=replace(protocol.geometry, n_slices=n_slices),
        schedule=replace(protocol.schedule, repetition_time_s=repetition_time_s),
        undersampling=replace(
            protocol.undersampling, acceleration=320 / (9 * n_shots), calibration_lines=4, largest_gap=999
        ),
    )


@pytest.mark.parametrize(("repetition_time_s", "n_shots"), [(5.0, 2), (1.5, 2)])
@pytest.mark.parametrize("off_resonance_hz", [0.0, -fat_shift_hz(3.0)])
def test_stir_nulls_fat_in_the_full_shot(repetition_time_s, n_shots, off_resonance_hz):
    """With TR, train, slice profiles and the inversion pulse; off resonance fat is inverted where it is excited."""
    protocol = small(Protocol.load("stir"), repetition_time_s, n_shots)
    null_s = round(evaluate(protocol).fat_null_s, 5)
    protocol = replace(protocol, fat_suppression=replace(protocol.fat_suppression, inversion_time_s=null_s))
    echoes = simulate(build_sequence(protocol), off_resonance_hz).reshape(n_shots, 9)
    assert abs(echoes[-1, ECHO]) < 1e-3


def test_without_the_inversion_the_same_simulation_sees_fat():
    protocol = replace(small(Protocol.load("stir"), 5.0, 2), fat_suppression=FatSuppression())
    echo = abs(simulate(build_sequence(protocol), 0.0).reshape(2, 9)[-1, ECHO])
    expected = evaluate(protocol).tissue("subcutaneous_fat").echoes[ECHO] / tissue("subcutaneous_fat").pd.value
    assert echo == pytest.approx(expected, rel=0.02)
    assert echo > 0.5


def test_spair_nulls_fat_when_every_slice_inverts_it():
    """Fat of the first slice, which meets the inversions of all slices and its own echo trains."""
    spair = replace(Protocol.load("stir"), fat_suppression=FatSuppression("spair", 0.1, 0.016))
    spair = small(spair, 2.0, 2, n_slices=6)
    null_s = round(evaluate(spair).fat_null_s, 5)
    spair = replace(spair, fat_suppression=FatSuppression("spair", null_s, 0.016))
    sequence = build_sequence(spair)
    pulses = [block.rf for block in map(sequence.get_block, sequence.block_events) if block.rf is not None]
    own_hz = [pulse.freq_offset for pulse in pulses[1:3]]  # after the inversion: excitation and refocusing
    echoes = simulate(sequence, -fat_shift_hz(3.0), centre_m=-2.5 * 3.3e-3, own_hz=own_hz)
    assert abs(echoes.reshape(2, 6, 9)[-1, 0, ECHO]) < 1e-3


def test_no_null_without_an_inversion():
    assert fat_null_s(Protocol.load("navigate"), tissue("subcutaneous_fat"), 0.0) is None
