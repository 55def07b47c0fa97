"""Echoes of a slice against a Bloch simulator in C that plays the exported file sample by sample and knows no phase graph.

The spins fill the slice and, as a lattice, two voxels in plane. What is summed up is what the scanner records at the echo: the
phase of the line that is read is taken back, so everything that readout, encodes and spoilers wind elsewhere cancels, as
it does in an object. At a single point in plane the free induction of the refocusing pulses, which the readout gradient winds
by half a cycle over a voxel, adds up to 14 % of the largest echo, a quarter turn off.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from knerve.sequences.echo_order import plan_echoes
from knerve.sequences.epg import Preparation
from knerve.sequences.fat_null import fat_null_s
from knerve.sequences.profile_width import full_width_half_maximum
from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_export import export, interleaved
from knerve.sequences.slice_profile_epg import HALF_WIDTH, slice_echoes
from knerve.sequences.tissues import relaxation_s, tissue
from knerve.sequences.train_echoes import refocusing_angles, slice_pulses, train_echoes
from knerve.sequences.tse_timing import CRUSHER_CYCLES

PER_CYCLE = 24  # places to a cycle of the crushers
N_PLACES = round(2 * HALF_WIDTH * CRUSHER_CYCLES) * PER_CYCLE + 1
N_IN_PLANE = 8
N_SLICES = 3
OFF_CENTRE, AT_ISOCENTRE = 0, 2  # shots: slices are interleaved


def preset(name: str, train: str = "constant") -> Protocol:
    protocol = Protocol.load(name)
    return replace(
        protocol,
        geometry=replace(protocol.geometry, n_slices=N_SLICES),
        echo_train=replace(protocol.echo_train, refocusing_train=train),
    )


def in_plane_m(protocol) -> tuple[np.ndarray, np.ndarray]:
    """A lattice over two voxels that sees every winding but multiples of eight cycles in x + 3 y."""
    steps = np.arange(N_IN_PLANE)
    x, y = steps / N_IN_PLANE, 3 * steps % N_IN_PLANE / N_IN_PLANE
    return 2 * x * protocol.geometry.voxel_read_m, 2 * y * protocol.geometry.voxel_phase_m


def bloch(simulator, protocol, tissue_name, shot, folder) -> np.ndarray:
    """Transverse magnetisation (echo, place) of a shot that starts in equilibrium."""
    export(protocol, folder / "scan.seq")
    whole, n_echoes = simulator.load_pulseq(folder / "scan.seq"), protocol.echo_train.echo_train_length
    ends_s = [0.0, *(readout.end_s + 1e-4 for readout in whole.adc_events[n_echoes - 1 :: n_echoes])]
    start_s, end_s = ends_s[shot : shot + 2]
    events = tuple(
        replace(event, start_s=event.start_s - start_s)
        for event in whole.events
        if start_s <= event.start_s and event.end_s <= end_s
    )
    readouts = whole.adc_events[shot * n_echoes : (shot + 1) * n_echoes]
    geometry = protocol.geometry
    place_m = geometry.slice_thickness_m * np.linspace(-HALF_WIDTH, HALF_WIDTH, N_PLACES)
    pitch_m = geometry.slice_thickness_m + geometry.slice_gap_m
    place_m += (interleaved(range(N_SLICES))[shot] - (N_SLICES - 1) / 2) * pitch_m
    x_m, y_m = in_plane_m(protocol)
    (t1_s,), (t2_s,) = relaxation_s([tissue(tissue_name)])
    probes = simulator.BlochSimulator(num_threads=2).simulate_sequence_probes(
        replace(whole, events=events, duration_s=end_s - start_s, metadata={}),
        [(x, y, z) for x, y in zip(x_m, y_m, strict=True) for z in place_m],
        0.0,
        checkpoints_s=[each.start_s + each.num_samples // 2 * each.dwell_s - start_s for each in readouts],
        t1_s=t1_s,
        t2_s=t2_s,
        ideal_spoiling=False,
        sequence_kernel="strict_reference",
    )
    found = probes.magnetization.reshape(n_echoes, N_IN_PLANE, N_PLACES, 3)
    transverse = found[..., 0] + 1j * found[..., 1]
    plan = plan_echoes(protocol)
    extent_m = geometry.field_of_view_phase_m * (1 + geometry.phase_oversampling)
    cycles = (plan.lines[0, 0] - plan.n_full // 2)[:, None] * y_m / extent_m
    return np.asarray((transverse * np.exp(2j * np.pi * cycles)[..., None]).mean(axis=1))


def signal(magnetisation) -> np.ndarray:
    """(echo) in units of M0 of a perfect slice."""
    return magnetisation.sum(axis=1) * 2 * HALF_WIDTH / (N_PLACES - 1)


def ours(protocol, tissue_name, preparation=None):
    t1_s, t2_s = relaxation_s([tissue(tissue_name)])
    train = protocol.echo_train
    return slice_echoes(
        t1_s,
        t2_s,
        refocusing_angles(train).tolist(),
        train.echo_spacing_s,
        slice_pulses(protocol),
        preparation=preparation,
    )


@pytest.mark.parametrize(
    ("train", "tissue_name", "shot"),
    [
        ("constant", "muscle", AT_ISOCENTRE),
        ("constant", "subcutaneous_fat", OFF_CENTRE),
        ("traps", "muscle", OFF_CENTRE),
    ],
)
def test_every_echo_and_the_effective_slice_equal_ours(blochsimulator, tmp_path, train, tissue_name, shot):
    protocol = preset("navigate", train)
    theirs, expected = bloch(blochsimulator, protocol, tissue_name, shot, tmp_path), ours(protocol, tissue_name)
    np.testing.assert_allclose(np.abs(signal(theirs)), expected.amplitude[0], rtol=0.02)
    assert np.abs(np.angle(signal(theirs))).max() < 0.1  # Carr, Purcell, Meiboom and Gill
    for echo in (0, protocol.echo_train.centre_echo):
        dephased_away = np.convolve(theirs[echo], np.ones(PER_CYCLE) / PER_CYCLE, "same")
        thickness = full_width_half_maximum(np.abs(dephased_away)[None], 1 / (CRUSHER_CYCLES * PER_CYCLE))
        np.testing.assert_allclose(expected.effective_thickness(echo), thickness, rtol=0.02)


def test_an_inverted_nerve_equals_ours(blochsimulator, tmp_path):
    protocol = preset("stir")
    theirs = signal(bloch(blochsimulator, protocol, "nerve", OFF_CENTRE, tmp_path))
    (efficiency,) = train_echoes(protocol, [tissue("nerve")], protocol.echo_train.centre_echo).efficiency
    expected = ours(protocol, "nerve", Preparation(-efficiency, protocol.fat_suppression.inversion_time_s)).amplitude[0]
    np.testing.assert_allclose(np.abs(theirs), expected, rtol=0.02)
    assert np.abs(np.angle(-theirs)).max() < 0.1  # still below zero


def test_fat_is_gone_at_the_inversion_time_that_we_predict(blochsimulator, tmp_path):
    protocol, fat = preset("stir"), tissue("subcutaneous_fat")
    centre = protocol.echo_train.centre_echo
    (efficiency,) = train_echoes(protocol, [fat], centre).efficiency
    null_s = round(fat_null_s(protocol, fat, efficiency), 5)  # on the raster
    nulled = replace(protocol, fat_suppression=replace(protocol.fat_suppression, inversion_time_s=null_s))
    theirs = signal(bloch(blochsimulator, nulled, "subcutaneous_fat", OFF_CENTRE, tmp_path))
    assert abs(theirs[centre].real) < 1e-3
    assert np.abs(theirs).max() < 5e-3
