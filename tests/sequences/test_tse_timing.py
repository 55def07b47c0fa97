"""The timing of a shot: what it holds, how long it lasts, and what does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.protocol import Protocol
from knerve.sequences.sections import FatSuppression
from knerve.sequences.timing import scan_time
from knerve.sequences.tse_timing import LATEST_MOMENT, sampling, tse_timing


@pytest.fixture(scope="module")
def stir():
    return Protocol.load("stir")


def test_the_room_for_a_pulse_suffices_for_every_design():
    rf_pulse = pytest.importorskip("knerve.sequences.rf_pulse")
    pytest.importorskip("sigpy", reason="SigPy designs the pulses")
    designs = [(2, 120), (2, 90), (2, 30), (4, 120), (4, 90), (16, 120)]
    moments = [rf_pulse.excitation_pulse(0.00256, tbw, flip).rephasing for tbw, flip in designs]
    assert min(moments) >= 0.5
    assert max(moments) <= LATEST_MOMENT


def test_the_shot_is_the_sum_of_its_parts(stir):
    timing, train = tse_timing(stir), stir.echo_train
    before_s = timing.inversion.lead_s + timing.inversion.plateau_s / 2 + 0.22
    after_s = timing.readout_s / 2 + timing.spoiler.duration_s
    assert timing.shot_s == pytest.approx(before_s + 9 * train.echo_spacing_s + after_s)
    first_half_s = timing.excitation_flat_s / 2 + timing.tail_s + timing.balance.duration_s + timing.refocus_s / 2
    assert first_half_s == pytest.approx(train.echo_spacing_s / 2)
    half_s = timing.refocus_s / 2 + timing.crusher.duration_s + timing.readout_s / 2
    assert half_s == pytest.approx(train.echo_spacing_s / 2)


@pytest.mark.parametrize("method", ["stir", "spair"])
def test_the_inversion_time_is_kept(stir, method):
    timing = tse_timing(replace(stir, fat_suppression=FatSuppression(method, 0.2, 0.012)))
    inversion = timing.inversion
    parts = (inversion.tail_s, inversion.spoiler.duration_s, inversion.wait_s, timing.lead_s)
    middle_to_middle_s = inversion.plateau_s / 2 + sum(parts) + timing.excitation_flat_s / 2
    assert middle_to_middle_s == pytest.approx(0.2, abs=1e-12)
    assert inversion.spoiler.duration_s == inversion.spoiler_phase.duration_s
    assert inversion.gradient == (timing.excitation_gradient if method == "stir" else 0.0)


def test_an_inversion_time_without_room_for_the_spoilers_is_refused(stir):
    with pytest.raises(
        ProtocolError, match=r"inversion_time_ms is 10.5; half the inversion pulse, its spoilers"
    ) as caught:
        replace(stir, fat_suppression=FatSuppression("stir", 0.0105))
    nearest_s = float(caught.value.nearest) / 1e3
    timing = tse_timing(replace(stir, fat_suppression=FatSuppression("stir", nearest_s)))
    assert timing.inversion.wait_s == pytest.approx(0.0, abs=1e-12)


def test_inversions_off_the_raster_are_refused(stir):
    with pytest.raises(ProtocolError, match=r"inversion_time_ms is 220.004; .* 0.01 ms.* value: 220\."):
        replace(stir, fat_suppression=FatSuppression("stir", 0.220004))
    with pytest.raises(ProtocolError, match=r"inversion_duration_ms is 10.01; .* 0.02 ms.* value: 10\."):
        replace(stir, fat_suppression=FatSuppression("stir", 0.22, 0.01001))


def test_a_spectral_inversion_needs_time_for_its_spectrum(stir):
    with pytest.raises(ProtocolError, match=r"inversion_duration_ms is 5; an inversion that short reaches") as caught:
        replace(stir, fat_suppression=FatSuppression("spair", 0.1, 0.005))
    replace(stir, fat_suppression=FatSuppression("spair", 0.1, float(caught.value.nearest) / 1e3))


def test_tr_must_hold_what_is_played_even_if_the_protocol_states_less(stir):
    """Overhead says how long a shot is besides its echoes; nobody plays it in no time."""
    hasty = replace(stir, schedule=replace(stir.schedule, shot_overhead_s=0.0))
    stated_s, played_s = scan_time(hasty).shot_s, tse_timing(hasty).shot_s
    assert stated_s < played_s < scan_time(stir).shot_s
    tight = replace(hasty.schedule, repetition_time_s=round(15 * stated_s, 5))
    with pytest.raises(ProtocolError, match="too short for 15 slices per package") as caught:
        replace(hasty, schedule=tight)
    assert float(caught.value.nearest) / 1e3 == pytest.approx(15 * played_s, abs=1e-3)
    replace(hasty, schedule=replace(tight, repetition_time_s=float(caught.value.nearest) / 1e3))


def test_slices_with_inversion_that_do_not_fit_are_told(stir):
    long = replace(stir.fat_suppression, inversion_time_s=0.25)
    with pytest.raises(ProtocolError, match=r"too short for 15 slices .* 344 ms \(2 packages or 14 slices") as caught:
        replace(stir, fat_suppression=long)
    schedule = replace(stir.schedule, repetition_time_s=float(caught.value.nearest) / 1e3)
    replace(stir, fat_suppression=long, schedule=schedule)


def test_samples_are_as_fine_as_the_voxel():
    protocol = Protocol.load("navigate")
    read = sampling(protocol)
    assert read.n_samples == 2 * 552
    assert read.n_samples * read.dwell_s == pytest.approx(1 / 252, rel=0.002)
    assert read.gradient * read.n_samples * read.dwell_s == pytest.approx(1 / (0.16 / 552))
