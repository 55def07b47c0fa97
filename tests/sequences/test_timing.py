"""Scan times to the second, three accelerations, and every way to fill a time budget."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.protocol import Protocol
from knerve.sequences.time_solver import TimeSolution, solve_for_time
from knerve.sequences.timing import scan_time


def changed(name: str, section: str, **values: Any) -> Protocol:
    protocol = Protocol.load(name)
    return replace(protocol, **{section: replace(getattr(protocol, section), **values)})


@pytest.mark.parametrize(
    ("name", "total_s", "n_full", "slices_per_package", "slices_that_fit"),
    [("navigate", 33.0, 485, 15, 20), ("planning-axial", 330.0, 970, 27, 33), ("planning-coronal", 330.0, 970, 27, 33)],
)
def test_the_times_of_the_paper(name, total_s, n_full, slices_per_package, slices_that_fit):
    time = scan_time(Protocol.load(name))
    assert time.total_s == total_s
    assert (time.n_lines_image, time.n_lines_full, time.n_lines_covered) == (485, n_full, n_full)
    assert (time.n_lines_asked, time.n_shots, time.n_spare) == (162, 11, 3)
    assert (time.slices_per_package, time.slices_that_fit) == (slices_per_package, slices_that_fit)


def test_three_accelerations():
    plan = scan_time(changed("planning-axial", "undersampling", spare_echoes="skip"))
    assert (plan.n_lines, plan.acceleration_asked) == (162, 6.0)
    assert plan.acceleration_net == pytest.approx(970 / 162)
    assert plan.acceleration_image == pytest.approx(485 / 162)
    filled = scan_time(Protocol.load("planning-axial"))
    assert (filled.n_lines, filled.total_s) == (165, plan.total_s)
    assert filled.acceleration_net == pytest.approx(970 / 165)


def test_distinct_averages_halve_the_acceleration_in_the_same_time():
    time = scan_time(changed("planning-axial", "undersampling", averages_as="distinct lines", spare_echoes="skip"))
    assert (time.n_lines, time.total_s) == (486, 330.0)
    assert time.acceleration_net == pytest.approx(2.0, abs=0.01)


def test_without_acceleration():
    for name, shots, total_s in (("navigate", 33, 99.0), ("planning-axial", 65, 1950.0)):
        time = scan_time(changed(name, "undersampling", acceleration=1.0))
        assert (time.n_shots, time.total_s) == (shots, total_s)
        assert time.acceleration_net == 1
        assert time.n_lines == time.n_lines_full  # spare echoes cannot invent lines


def test_half_scan_dummies_packages_and_prescan():
    half = scan_time(changed("navigate", "undersampling", half_scan=0.6))
    assert (half.n_lines_covered, half.n_lines_asked, half.n_shots) == (291, 97, 7)
    assert half.acceleration_net == pytest.approx(485 * 0.6 / 105)
    schedule = {"dummy_shots": 1, "packages": 3, "averages": 2, "prescan_s": 4.5}
    assert scan_time(changed("navigate", "schedule", **schedule)).total_s == 3.0 * (1 + 11 * 2) * 3 + 4.5


def test_lines_of_a_field_of_view_that_the_voxel_divides():
    assert 0.14 / 0.00028 > 500  # binary fractions; the field of view is 500 voxels all the same
    divided = changed("navigate", "geometry", field_of_view_phase_m=0.14, voxel_phase_m=0.00028)
    assert scan_time(divided).n_lines_full == 500
    assert scan_time(changed("navigate", "geometry", phase_oversampling=0.2)).n_lines_full == 582
    assert scan_time(changed("navigate", "geometry", phase_oversampling=0.25)).n_lines_full == 607


def test_an_inversion_lengthens_the_shot():
    time = scan_time(Protocol.load("stir"))
    assert time.shot_s == pytest.approx(0.220 + 0.005 + 9 * 0.009 + 0.008)
    assert time.total_s == 60.0


@pytest.mark.parametrize(
    ("name", "budget_s", "expected"),
    [
        ("navigate", 33.0, (15, 3.0, 1, 1)),
        ("navigate", 33.0, (11, 2.2, 1, 1)),
        ("planning-axial", 330.0, (15, 5.0, 3, 2)),
        ("planning-axial", 330.0, (17, 5.5, 3, 2)),
        ("planning-axial", 330.0, (15, 5.0, 2, 3)),
    ],
)
def test_the_solver_finds_both_protocols_and_their_relatives(name, budget_s, expected):
    solutions = solve_for_time(budget_s, Protocol.load(name))
    found = {(s.echo_train_length, s.repetition_time_s, s.averages, s.packages): s for s in solutions}
    assert found[expected].total_s == pytest.approx(budget_s, abs=1e-9)


def test_the_solver_counts_dummies_and_oversampling():
    with_dummy = solve_for_time(33.0, changed("navigate", "schedule", dummy_shots=1))
    assert (18, 3.3, 9) in {(s.echo_train_length, s.repetition_time_s, s.n_shots) for s in with_dummy}
    oversampled = solve_for_time(33.0, changed("navigate", "geometry", phase_oversampling=0.2))
    assert (18, 3.0, 11) in {(s.echo_train_length, s.repetition_time_s, s.n_shots) for s in oversampled}


@pytest.mark.parametrize(("name", "budget_s"), [("navigate", 33.0), ("planning-axial", 330.0), ("stir", 90.0)])
def test_every_solution_can_be_played_in_its_time(name, budget_s):
    protocol = Protocol.load(name)
    solutions = solve_for_time(budget_s, protocol)
    for solution in solutions:
        time = scan_time(solution.applied_to(protocol))
        assert time.total_s == solution.total_s
        assert budget_s - 1 <= solution.total_s <= budget_s + 1e-9
        assert solution.slices_per_package <= solution.slices_that_fit
    assert [round(s.total_s) for s in solutions] == sorted((round(s.total_s) for s in solutions), reverse=True)


def test_the_solver_agrees_with_a_search_of_all_repetition_times():
    protocol = Protocol.load("navigate")
    solutions = solve_for_time(33.0, protocol, echo_train_lengths=range(14, 17), averages=(1, 2), packages=(1, 2))
    longest: dict[tuple[int, int, int], float] = {}
    for length in range(14, 17):
        n_shots = math.ceil(162 / length)
        for averages in (1, 2):
            for packages in (1, 2):
                for hundredths in range(200, 801):
                    tr_s, shot_s = hundredths / 100, length * 0.00939 + 0.008
                    enough = math.floor(tr_s / shot_s) * packages >= 15 and math.floor(tr_s / shot_s) >= math.ceil(
                        15 / packages
                    )
                    if enough and 32 <= round(tr_s * n_shots * averages * packages, 6) <= 33:
                        longest[length, averages, packages] = tr_s
    assert {(s.echo_train_length, s.averages, s.packages): s.repetition_time_s for s in solutions} == longest


def test_a_budget_that_cannot_be_met_names_the_nearest():
    protocol = Protocol.load("navigate")
    with pytest.raises(ProtocolError, match=r"No combination takes 5 s. Nearest valid budget: (\S+) s\.") as caught:
        solve_for_time(5.0, protocol)
    assert isinstance(caught.value.nearest, float)
    assert solve_for_time(caught.value.nearest + 0.1, protocol)
    with pytest.raises(ProtocolError, match="Nearest valid budget"):
        solve_for_time(1e5, protocol)
    with pytest.raises(ProtocolError, match="no echo train reaches the echo time"):
        solve_for_time(33.0, protocol, echo_train_lengths=(4, 5))
    with pytest.raises(ProtocolError, match="Allow more slack or finer steps"):
        solve_for_time(
            33.0,
            protocol,
            slack_s=0.0,
            echo_train_lengths=(16,),
            averages=(1,),
            packages=(1,),
            repetition_time_step_s=0.7,
        )


def test_a_solution_changes_nothing_else():
    protocol = Protocol.load("navigate")
    solution = TimeSolution(
        11, 2.2, 1, 1, n_shots=15, n_spare=3, slices_per_package=15, slices_that_fit=19, total_s=33.0
    )
    other = solution.applied_to(protocol)
    assert other.geometry == protocol.geometry
    assert other.echo_train == replace(protocol.echo_train, echo_train_length=11)
    assert other.schedule == replace(protocol.schedule, repetition_time_s=2.2)
