"""Presets say where their numbers come from; wrong protocols get one clear message with a nearest value that is accepted."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.feasibility import readout_gradient_t_per_m
from knerve.sequences.protocol import Protocol, preset_names
from knerve.sequences.protocol_file import SECTIONS
from knerve.sequences.quantities import shown_name, si_name, split_unit, to_si
from knerve.sequences.sections import Geometry
from knerve.sequences.timing import scan_time

PRESETS = ("navigate", "planning-axial", "planning-coronal", "stir")


def preset_text(name: str) -> str:
    return (resources.files("knerve.sequences") / "presets" / f"{name}.toml").read_text(encoding="utf-8")


def edited(name: str, old: str, new: str) -> Protocol:
    text = preset_text(name)
    assert text.count(old) == 1, old
    return Protocol.from_toml(text.replace(old, new))


def changed(name: str, section: str, **values: Any) -> Protocol:
    protocol = Protocol.load(name)
    return replace(protocol, **{section: replace(getattr(protocol, section), **values)})


def test_the_four_scans_are_there():
    assert preset_names() == PRESETS


def test_units_of_a_preset_become_si():
    protocol = Protocol.load("navigate")
    assert protocol.geometry == Geometry("axial", 0.16, 0.16, 0.00029, 0.00033, 0.003, 0.0003, 15, 0.0)
    assert protocol.echo_train.echo_spacing_s == 0.00939  # to the last bit, not 0.009390000000000001
    assert protocol.schedule.repetition_time_s == 3.0
    assert protocol.system.max_gradient_t_per_m == 0.04
    assert protocol.name == "navigate"
    assert protocol.echo_train.centre_echo == 7


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_of_a_preset_has_exactly_one_origin(name):
    provenance = Protocol.load(name).provenance
    written = tomllib.loads(preset_text(name))
    stated = {f"{section}.{si_name(key)}" for section in SECTIONS for key in written[section]}
    named = [*provenance.paper, *provenance.reconstruction, *(value.field for value in provenance.memory)]
    assert sorted(named) == sorted(stated)
    assert all(provenance.origin_of(field) != "not stated" for field in stated)
    assert provenance.source


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_leaves_no_default_unsaid(name):
    written = tomllib.loads(preset_text(name))
    silent = {"undersampling.largest_gap", "fat_suppression.inversion_time_s", "fat_suppression.inversion_duration_s"}
    for section, cls in SECTIONS.items():
        missing = {f"{section}.{f.name}" for f in fields(cls)} - {
            f"{section}.{si_name(key)}" for key in written[section]
        }
        assert missing <= silent


@pytest.mark.parametrize("name", PRESETS)
def test_values_from_memory_carry_a_range_that_holds_them(name):
    protocol = Protocol.load(name)
    assert protocol.provenance.memory
    for value in protocol.provenance.memory:
        section, field = value.field.split(".")
        assert value.low <= getattr(getattr(protocol, section), field) <= value.high


def test_what_the_paper_fixes_is_marked_so():
    for name, thickness_m, acceleration in (("navigate", 0.003, 3.0), ("planning-axial", 0.0025, 6.0)):
        protocol = Protocol.load(name)
        for field in ("geometry.voxel_read_m", "geometry.slice_thickness_m", "undersampling.acceleration"):
            assert protocol.provenance.origin_of(field) == "paper"
        assert protocol.provenance.origin_of("schedule.repetition_time_s") == "reconstruction"
        assert protocol.geometry.slice_thickness_m == thickness_m
        assert protocol.undersampling.acceleration == acceleration
        assert protocol.provenance.scan_time_s == scan_time(protocol).total_s


def test_planning_scans_differ_in_their_orientation_only():
    axial, coronal = Protocol.load("planning-axial"), Protocol.load("planning-coronal")
    assert replace(axial.geometry, orientation="coronal") == coronal.geometry
    assert (axial.echo_train, axial.schedule) == (coronal.echo_train, coronal.schedule)


def test_a_file_is_read_by_its_path_in_any_unit_and_named_after_itself(tmp_path):
    text = preset_text("navigate").replace('name = "navigate"\n', "")
    text = text.replace("repetition_time_ms = 3000.0", "repetition_time_s = 3").replace(
        '"schedule.repetition_time_ms",\n', ""
    )
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    protocol = Protocol.load(path)
    assert protocol.name == "mine"
    assert protocol.schedule == Protocol.load("navigate").schedule
    assert Protocol.load(str(path)) == protocol


def test_names_and_units():
    assert split_unit("max_slew_rate_t_per_m_per_s") == ("max_slew_rate", "t_per_m_per_s")
    assert split_unit("n_slices") == ("n_slices", "")
    assert si_name("echo_time_us") == "echo_time_s"
    assert shown_name("max_gradient_t_per_m") == "max_gradient_mt_per_m"
    assert to_si(40, "max_gradient_mt_per_m") == 0.04
    assert to_si(2.56, "excitation_duration_ms") == 0.00256


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("echo_train_length = 15", "echo_train_lenght = 15", r"echo_train_lenght is not a known field.*: echo_train_length\."),
        ("echo_time_ms = 75.12", "echo_time = 75.12", r"echo_time is not .* name: echo_time_ms \(units: ms, us, s\)"),
        ("echo_time_ms = 75.12", "echo_time_mm = 75.12", r"Nearest valid name: echo_time_ms \(units"),
        ("[system]", "[sytem]", r"sytem is not a known section. Nearest valid name: system"),
        ("n_slices = 15", "n_slices = 15.0", r"geometry.n_slices is 15.0; expected a whole number"),
        ("n_slices = 15", "n_slices = true", r"geometry.n_slices is True; expected a whole number"),
        ("echo_spacing_ms = 9.39", 'echo_spacing_ms = "9.39"', r"echo_train.echo_spacing_ms is '9.39'; expected a number"),
        ('orientation = "axial"', "orientation = 1", r"geometry.orientation is 1; expected text in quotes"),
        ("repetition_time_ms = 3000.0", "repetition_time_ms = 3000.0\nrepetition_time_s = 3.0", "is given twice, in two units"),
        ("slice_gap_mm = 0.3\n", "", r"\[geometry\] lacks slice_gap_mm"),
        ("[provenance.notes]", "[provenance.nots]", r"provenance.nots is not a known field. Nearest valid name: notes"),
        ('    "schedule.averages",', '    "schedule.average",', r"names 'schedule.average', .*schedule.averages"),
        ("= [40.0, 80.0]", "= [40.0]", r"provenance.memory.system.max_gradient_mt_per_m is \[.*\]; expected a range"),
        ('name = "navigate"', "name = ", "is not TOML"),
    ],
)  # fmt: skip
def test_files_are_read_strictly(old, new, message):
    with pytest.raises(ProtocolError, match=message):
        edited("navigate", old, new)


def test_a_missing_section_or_file_or_preset_is_said():
    with pytest.raises(ProtocolError, match=r"lacks the section \[geometry\]"):
        Protocol.from_toml("[schedule]\nrepetition_time_s = 3.0\n")
    with pytest.raises(ProtocolError, match="geometry is 3; expected a section"):
        Protocol.from_toml("geometry = 3\nechotrain = 1".replace("echotrain", "echo_train") + "\nschedule = 2")
    with pytest.raises(ProtocolError, match=r"nowhere.toml cannot be read: .* Give the path"):
        Protocol.load(Path("nowhere.toml"))
    with pytest.raises(
        ProtocolError, match=r"no preset 'navigat'; there are navigate, .* Nearest valid value: navigate\."
    ):
        Protocol.load("navigat")


@pytest.mark.parametrize(
    ("name", "section", "field", "value", "message"),
    [
        ("navigate", "schedule", "repetition_time_s", -3.0, r"schedule.repetition_time_ms is -3000; it must lie between 10 and"),
        ("navigate", "schedule", "repetition_time_s", float("nan"), r"repetition_time_ms is nan; .* value: 10\."),
        ("navigate", "echo_train", "echo_spacing_s", -0.009, r"echo_spacing_ms is -9; .* value: 1\."),
        ("navigate", "undersampling", "acceleration", 0.5, r"is 0.5; it must lie between 1 and 64. .* value: 1\."),
        ("navigate", "undersampling", "half_scan", 0.4, r"half_scan is 0.4; .* value: 0.55\."),
        ("navigate", "geometry", "n_slices", 0, r"n_slices is 0; .* value: 1\."),
        ("navigate", "geometry", "voxel_read_m", 0.1, r"voxel_read_mm is 100; .* value: 20\."),
        ("navigate", "pulses", "refocusing_slice_factor", 0.9, r"refocusing_slice_factor is 0.9; .* value: 1\."),
        ("navigate", "system", "max_gradient_t_per_m", 0.0, r"max_gradient_mt_per_m is 0; .* value: 1\."),
    ],
)  # fmt: skip
def test_values_that_no_scan_has(name, section, field, value, message):
    with pytest.raises(ProtocolError, match=message):
        changed(name, section, **{field: value})


def test_words_that_are_no_choice():
    with pytest.raises(
        ProtocolError,
        match=r"order is 'liner'; choose one of linear, low-high, asymmetric. Nearest valid value: linear",
    ):
        edited("navigate", 'order = "linear"', 'order = "liner"')
    with pytest.raises(ProtocolError, match="method is 'STIR'"):
        edited("stir", 'method = "stir"', 'method = "STIR"')


IMPOSSIBLE = [
    ("schedule", {"repetition_time_s": 2.0}, r"too short for 15 slices .* 148.85 ms \(2 packages or 13 slices would.* 2233\."),
    ("schedule", {"repetition_time_s": 0.1}, r"repetition_time_ms is 100; .* too short for 15 slices .* 148.85 ms. Nearest"),
    ("schedule", {"packages": 16}, r"packages is 16; only 15 can be filled with a slice each"),
    ("echo_train", {"echo_time_s": 0.2}, r"is 200; the train of 15 echoes ends at 140.85 ms.* value: 140.85\."),
    ("echo_train", {"echo_time_s": 0.08}, r"is 80; echoes come every 9.39 ms only.* value: 84.51\."),
    ("echo_train", {"order": "low-high"}, r"75.12; the low-high order reads ky = 0 with the first.* 9.39\."),
    ("echo_train", {"refocusing_train": "hyperecho", "echo_train_length": 14}, r"is 14; a hyperecho train .* 15\."),
    ("echo_train", {"refocusing_train": "traps", "echo_time_s": 0.00939}, r"9.39; a traps train needs three .* 37.56\."),
    ("echo_train", {"pixel_bandwidth_hz": 600.0}, r"600; the readout gradient would be 48.93 mT/m, over .* 40 mT/m.* 476\."),
    ("echo_train", {"echo_spacing_s": 0.008, "echo_time_s": 0.064}, r"0.65 ms for the phase-enc.* 1.16 ms.* 9.02\."),
    ("echo_train", {"echo_spacing_s": 0.0087, "echo_time_s": 0.0696}, r"0.33 mm .* 1.16 ms within 40 mT/m and 150 T/m/s"),
    ("echo_train", {"echo_spacing_s": 0.009396, "echo_time_s": 0.075168}, r"is 9.396; .* whole steps of 0.01 ms.* 9.4\."),
    ("echo_train", {"echo_spacing_s": 0.008003, "echo_time_s": 0.064024}, r"is 8.003; it leaves .* 9.02\."),
    ("pulses", {"excitation_duration_s": 0.0055}, r"readout prephaser of 0.29 mm"),
    ("pulses", {"refocusing_duration_s": 0.002498}, r"is 2.498; a scanner needs whole steps of 0.02 ms.* 2.5\."),
    ("schedule", {"repetition_time_s": 3.000004}, r"whole steps of 0.01 ms.* 3000\."),
    ("geometry", {"slice_thickness_m": 0.0005}, r"is 0.5; the gradient of the excitation pulse would be 73.4 mT/m, over"),
    ("pulses", {"refocusing_duration_s": 0.0002}, r"the gradient of the refocusing pulse would be 97.8"),
    ("undersampling", {"calibration_lines": 164}, r"165 lines read of 485 leave room for 141 about ky = 0, with no gap over 15"),
    ("undersampling", {"largest_gap": 2}, r"is 2; 165 lines with 32 of them in the centre cannot be closer.* 4\."),
    ("undersampling", {"acceleration": 64.0, "spare_echoes": "skip", "largest_gap": 1000}, r"is 32; the 8 lines"),
    ("undersampling", {"half_scan": 0.55, "calibration_lines": 64}, r"calibration_lines is 64; .* value: 49\."),
]  # fmt: skip


@pytest.mark.parametrize(("section", "values", "message"), IMPOSSIBLE)
def test_protocols_that_cannot_be_played(section, values, message):
    with pytest.raises(ProtocolError, match=message) as caught:
        changed("navigate", section, **values)
    title, field = caught.value.field.split(".")
    assert isinstance(caught.value.nearest, float)
    nearest = to_si(caught.value.nearest, field)
    protocol = Protocol.load("navigate")
    parts = {section: replace(getattr(protocol, section), **values)}
    part = parts.get(title, getattr(protocol, title))
    known = {f.name: f.type for f in fields(part)}[si_name(field)]
    parts[title] = replace(part, **{si_name(field): round(nearest) if known == "int" else nearest})
    if field == "echo_spacing_ms":  # the echo time is a whole number of the new spacings
        parts[title] = replace(parts[title], echo_time_s=8 * parts[title].echo_spacing_s)
    replace(protocol, **parts)  # the nearest valid value is valid


def test_an_acceleration_that_leaves_hardly_a_line():
    protocol = Protocol.load("navigate")
    small = replace(protocol.geometry, field_of_view_phase_m=0.02)
    under = replace(protocol.undersampling, acceleration=40.0, spare_echoes="skip", calibration_lines=1)
    with pytest.raises(ProtocolError, match=r"acceleration is 40; it leaves 2 lines.* value: 20.3\.") as caught:
        replace(protocol, geometry=small, undersampling=under)
    replace(protocol, geometry=small, undersampling=replace(under, acceleration=float(caught.value.nearest or 0)))


def test_averages_of_distinct_lines_need_enough_lines():
    protocol = Protocol.load("navigate")
    schedule = replace(protocol.schedule, averages=3)
    for acceleration, nearest in ((2.0, 3.1), (1.0, 3.1)):
        under = replace(protocol.undersampling, averages_as="distinct lines", acceleration=acceleration)
        with pytest.raises(ProtocolError, match="distinct lines are more than the 485 lines there are") as caught:
            replace(protocol, schedule=schedule, undersampling=under)
        assert caught.value.nearest == nearest
        replace(protocol, schedule=schedule, undersampling=replace(under, acceleration=nearest))


def test_an_inversion_needs_its_time_and_a_time_its_inversion():
    with pytest.raises(ProtocolError, match=r"'stir' without fat_suppression.inversion_time_ms. Usual value: 220"):
        edited("stir", "inversion_time_ms = 220.0  # from memory, range 200 to 230\n", "")
    with pytest.raises(ProtocolError, match=r"inversion_time_ms is given, but fat_suppression.method is 'none'"):
        changed("navigate", "fat_suppression", inversion_time_s=0.22)
    with pytest.raises(ProtocolError, match="repetition_time_ms is 5000; it is too short for 16 slices"):
        changed("stir", "geometry", n_slices=16)


def test_gradients_of_the_navigating_scan():
    protocol = Protocol.load("navigate")
    assert readout_gradient_t_per_m(protocol) == pytest.approx(252 / 42.577478461e6 / 0.00029, rel=0.005)
