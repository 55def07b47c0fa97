"""A whole protocol in numbers: the published times, known physics, and nothing called a pass that was not looked at."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from knerve.sequences.epg import tse_echoes
from knerve.sequences.evaluation import TISSUES, evaluate
from knerve.sequences.inversion_pulse import inversion_pulse
from knerve.sequences.protocol import Protocol, preset_names
from knerve.sequences.refocusing_trains import relative_energy
from knerve.sequences.sections import FatSuppression
from knerve.sequences.train_echoes import refocusing_angles

pytest.importorskip("sigpy", reason="SigPy designs the pulses")


@pytest.fixture(scope="module")
def navigate():
    return Protocol.load("navigate")


def with_train(protocol, **changes):
    return replace(protocol, echo_train=replace(protocol.echo_train, **changes))


@pytest.mark.parametrize(
    ("name", "seconds"), [("navigate", 33.0), ("planning-axial", 330.0), ("planning-coronal", 330.0)]
)
def test_scan_times_of_the_paper(name, seconds):
    assert evaluate(Protocol.load(name)).time.total_s == seconds


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_plain_numbers(name):
    document = evaluate(Protocol.load(name)).as_dict()
    assert json.loads(json.dumps(document, allow_nan=False))["name"] == name


def test_the_nerve_is_blurred_more_than_fat_and_less_than_muscle(navigate):
    result = evaluate(navigate)
    nerve, fat, muscle = (result.tissue(name) for name in ("nerve", "subcutaneous_fat", "muscle"))
    assert 1.207 * 0.33 < fat.fwhm_phase_mm < nerve.fwhm_phase_mm < muscle.fwhm_phase_mm
    assert nerve.fwhm_phase_mm == pytest.approx(0.58, abs=0.05)  # the facts: 0.53 at 120, 0.58 at 180 degrees
    assert nerve.fwhm_read_mm == pytest.approx(1.207 * 0.29, rel=1e-3)
    assert nerve.fwhm_slice_mm == pytest.approx(3.0, abs=0.3)


def test_the_equivalent_echo_time_is_earlier_below_180_degrees(navigate):
    low = evaluate(navigate).tissue("nerve")
    lower = evaluate(with_train(navigate, refocusing_angle_deg=100.0)).tissue("nerve")
    assert lower.equivalent_echo_time_s < low.equivalent_echo_time_s < navigate.echo_train.echo_time_s


def test_contrast_is_the_ratio_of_signals(navigate):
    result = evaluate(navigate)
    nerve, fat, muscle = (result.tissue(name).signal for name in ("nerve", "subcutaneous_fat", "muscle"))
    assert (result.nerve_to_fat, result.nerve_to_muscle) == (nerve / fat, nerve / muscle)
    assert result.tissue("nerve").echoes[7] == nerve  # the eighth echo reads ky = 0


def test_relative_snr_of_planning(navigate):
    assert all(each.relative_snr == pytest.approx(1.0) for each in evaluate(navigate).tissues)
    assert evaluate(Protocol.load("planning-axial")).tissue("nerve").relative_snr == pytest.approx(
        1.6, abs=0.05
    )  # facts


def test_fat_moves_by_its_frequency(navigate):
    fat, shift_hz = evaluate(navigate).fat, 3.4e-6 * 42.577478461e6 * 3
    assert fat.read_mm == pytest.approx(shift_hz / 252 * 0.29)
    assert fat.slice_mm == pytest.approx(shift_hz / (4 / 2.56e-3) * 3)
    assert fat.slice_refocused_mm == pytest.approx(shift_hz / (3 / 2.5e-3) * 3.6)


def test_what_was_not_looked_at_is_never_a_pass(navigate):
    verdicts = {each.name: each.verdict for each in evaluate(navigate).checks}
    passed = {name for name, verdict in verdicts.items() if verdict == "pass"}
    assert passed == {f"{pulse} gradient, one axis" for pulse in ("readout", "excitation", "refocusing")}
    assert {"B1+rms", "SAR", "nerve stimulation (SAFE)", "slew rate, vector"} < set(verdicts)


def test_b1_rms_grows_with_the_angle_and_the_slices(navigate):
    result = evaluate(navigate)
    assert result.relative_rf_energy == pytest.approx((150 / 180) ** 2)
    more = evaluate(replace(navigate, geometry=replace(navigate.geometry, n_slices=20)))
    assert more.b1_rms_ut == pytest.approx(result.b1_rms_ut * np.sqrt(20 / 15))
    assert evaluate(with_train(navigate, refocusing_angle_deg=120.0)).b1_rms_ut < result.b1_rms_ut


def test_the_presets_pulses_stay_below_what_body_coils_give():
    for name in preset_names():
        peak = next(each for each in evaluate(Protocol.load(name)).checks if each.name == "peak B1")
        assert (peak.verdict, peak.limit) == ("not evaluated", None)  # no coil is known
        assert 15 < peak.value < 17  # µT


def test_an_inversion_counts_in_b1():
    stir = Protocol.load("stir")
    plain, result = evaluate(replace(stir, fat_suppression=FatSuppression())), evaluate(stir)
    energy_ut2_s = inversion_pulse(stir).energy_ut2_s
    assert result.b1_rms_ut**2 == pytest.approx(plain.b1_rms_ut**2 + 15 * energy_ut2_s / 5.0)
    short = replace(stir, fat_suppression=FatSuppression("stir", 0.22, 0.006))
    peak = next(each for each in evaluate(short).checks if each.name == "peak B1")
    assert peak.value == pytest.approx(inversion_pulse(short).peak_b1_ut)
    assert peak.value > 17


@pytest.mark.parametrize(
    ("method", "low_s", "high_s"), [("none", None, None), ("stir", 0.235, 0.257), ("spair", 0.1, 0.15)]
)
def test_the_null_of_fat_is_told(method, low_s, high_s):
    stir = Protocol.load("stir")
    null_s = evaluate(replace(stir, fat_suppression=FatSuppression(method, low_s))).fat_null_s
    assert null_s is None if low_s is None else low_s < null_s < high_s
    if method == "stir":  # and there is none where TR has no room for it
        one = replace(stir.geometry, n_slices=1)
        brief = replace(stir.schedule, repetition_time_s=0.14)
        short = replace(stir, geometry=one, schedule=brief, fat_suppression=FatSuppression("stir", 0.04))
        short = with_train(short, refocusing_angle_deg=10.0)  # so low that fat recovers during the train
        assert evaluate(short).fat_null_s is None


@pytest.mark.parametrize("kind", ["constant", "ramped", "traps", "hyperecho"])
def test_every_train_is_evaluated(navigate, kind):
    protocol = with_train(navigate, refocusing_train=kind, refocusing_angle_deg=120.0)
    result = evaluate(protocol)
    assert len(result.refocusing_deg) == 15
    assert result.relative_rf_energy == relative_energy(refocusing_angles(protocol.echo_train))
    assert all(0 < each.signal < 1 for each in result.tissues)
    assert {"constant": 120, "ramped": 150, "traps": 150, "hyperecho": 120}[kind] == result.refocusing_deg[0]


def test_without_a_pulse_design_the_slice_is_not_evaluated(navigate):
    # a time-bandwidth product of 1 is a protocol, but no SLR pulse
    result = evaluate(replace(navigate, pulses=replace(navigate.pulses, refocusing_time_bandwidth=1.0)))
    nerve = result.tissue("nerve")
    assert nerve.fwhm_slice_mm is None
    assert result.b1_rms_ut is None
    assert result.model.startswith("ideal pulses without a slice profile")
    assert next(each for each in result.checks if each.name == "B1+rms").verdict == "not evaluated"
    ideal = tse_echoes([1.4], [0.0446], [150.0] * 15, 9.39e-3, repetition_time_s=3.0).amplitude[0, 0]
    assert nerve.echoes == pytest.approx(0.8 * np.abs(ideal))


@pytest.mark.parametrize(("method", "inversion_time_s"), [("stir", 0.235), ("spair", 0.09)])
def test_fat_suppression_takes_fat_more_than_nerve(method, inversion_time_s):
    stir = Protocol.load("stir")
    plain = evaluate(replace(stir, fat_suppression=FatSuppression()))
    result = evaluate(replace(stir, fat_suppression=FatSuppression(method, inversion_time_s)))
    left = {name: result.tissue(name).signal / plain.tissue(name).signal for name in TISSUES}
    assert left["subcutaneous_fat"] < 0.2
    assert left["nerve"] == pytest.approx(1.0) if method == "spair" else left["nerve"] > 3 * left["subcutaneous_fat"]


def test_fast_enough_to_search_protocols(navigate):
    evaluate(navigate)  # designs the pulses
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        evaluate(navigate)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.05
