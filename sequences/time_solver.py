"""Which combinations of echo train, TR, averages and packages fill a time budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

from knerve.sequences.errors import ProtocolError
from knerve.sequences.feasibility import check_feasible
from knerve.sequences.sections import Sections
from knerve.sequences.timing import scan_time, total_s, whole_steps

AnySections = TypeVar("AnySections", bound=Sections)


@dataclass(frozen=True)
class TimeSolution:
    """One way to fill a time budget; the meaning of each number as in the protocol and in `ScanTime`."""

    echo_train_length: int
    repetition_time_s: float
    averages: int
    packages: int
    n_shots: int
    n_spare: int
    slices_per_package: int
    slices_that_fit: int
    total_s: float

    def applied_to(self, protocol: AnySections) -> AnySections:
        """The protocol with these numbers."""
        return replace(
            protocol,
            echo_train=replace(protocol.echo_train, echo_train_length=self.echo_train_length),
            schedule=replace(
                protocol.schedule,
                repetition_time_s=self.repetition_time_s,
                averages=self.averages,
                packages=self.packages,
            ),
        )


def solve_for_time(
    budget_s: float,
    protocol: Sections,
    *,
    slack_s: float = 1.0,
    echo_train_lengths: Iterable[int] = range(4, 33),
    averages: Iterable[int] = (1, 2, 3, 4),
    packages: Iterable[int] = (1, 2, 3, 4),
    repetition_time_range_s: tuple[float, float] = (2.0, 8.0),
    repetition_time_step_s: float = 0.01,
) -> tuple[TimeSolution, ...]:
    """All (echo train length, TR, averages, packages) of a protocol that take `budget_s`, or up to `slack_s` less.

    TR is the longest that fits the budget: it gives the most signal and leaves room for the slices. Echo spacing, echo time,
    geometry and acceleration stay as they are; combinations that cannot be played are left out.

    Returns:
        Solutions, fullest use of the budget first (to the second), then the shortest echo train (the least blur).

    Raises:
        ProtocolError: nothing fits; the text names the possible time that is nearest to the budget.
    """
    shortest_s, longest_s = repetition_time_range_s
    found: list[TimeSolution] = []
    possible: list[tuple[float, float]] = []  # shortest and longest scan time of each combination
    for layout in _layouts(protocol, product(echo_train_lengths, averages, packages)):
        time = scan_time(layout)
        least_s = max(shortest_s, time.slices_per_package * time.shot_s)
        if not (least_s <= longest_s and _playable(layout, longest_s)):
            continue
        prescan_s = layout.schedule.prescan_s
        repeats = total_s(replace(layout.schedule, repetition_time_s=1.0, prescan_s=0.0), time.n_shots)
        possible.append((least_s * repeats + prescan_s, longest_s * repeats + prescan_s))
        steps = whole_steps(min(longest_s, (budget_s - prescan_s) / repeats) / repetition_time_step_s)
        solution = _solution(layout, round(steps * repetition_time_step_s, 9))
        if solution.repetition_time_s >= least_s and solution.total_s >= budget_s - slack_s:
            found.append(solution)
    if not found:
        raise _nothing_fits(budget_s, slack_s, possible)
    return tuple(sorted(found, key=lambda s: (-round(s.total_s), s.echo_train_length, s.averages, s.packages)))


def _layouts(protocol: Sections, combinations: Iterable[tuple[int, int, int]]) -> Iterator[Sections]:
    """The protocol with every combination, its feasibility not yet asked."""
    for length, n_averages, n_packages in combinations:
        yield Sections(
            protocol.geometry,
            replace(protocol.echo_train, echo_train_length=length),
            replace(protocol.schedule, averages=n_averages, packages=n_packages),
            protocol.undersampling,
            protocol.pulses,
            protocol.fat_suppression,
            protocol.system,
        )


def _playable(layout: Sections, repetition_time_s: float) -> bool:
    try:
        check_feasible(replace(layout, schedule=replace(layout.schedule, repetition_time_s=repetition_time_s)))
    except ProtocolError:
        return False
    return True


def _solution(layout: Sections, repetition_time_s: float) -> TimeSolution:
    schedule = replace(layout.schedule, repetition_time_s=max(repetition_time_s, 0.01))
    time = scan_time(replace(layout, schedule=schedule))
    return TimeSolution(
        echo_train_length=layout.echo_train.echo_train_length,
        repetition_time_s=schedule.repetition_time_s,
        averages=schedule.averages,
        packages=schedule.packages,
        n_shots=time.n_shots,
        n_spare=time.n_spare,
        slices_per_package=time.slices_per_package,
        slices_that_fit=time.slices_that_fit,
        total_s=time.total_s,
    )


def _nothing_fits(budget_s: float, slack_s: float, possible: list[tuple[float, float]]) -> ProtocolError:
    if not possible:
        return ProtocolError(
            "No combination can be played: no echo train reaches the echo time, or the slices need a longer TR than allowed. "
            "Allow longer echo trains, more packages or a longer TR."
        )
    inside = [budget_s if low <= budget_s <= high else low if budget_s < low else high for low, high in possible]
    nearest_s = min(inside, key=lambda time_s: abs(time_s - budget_s))
    if math.isclose(nearest_s, budget_s):
        text = f"No combination takes {budget_s - slack_s:g} to {budget_s:g} s. Allow more slack or finer steps of TR."
        return ProtocolError(text, field="slack_s")
    return ProtocolError(
        f"No combination takes {budget_s:g} s. Nearest valid budget: {nearest_s:.6g} s.",
        field="budget_s",
        nearest=nearest_s,
    )
