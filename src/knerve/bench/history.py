"""How our own speed changed from commit to commit: one JSON line a method and case for every benchmark.

A line is compared only with lines of the same case, method, threads and processor. Of several benchmarks of one commit the
least time of each stage counts, as a busy machine can only add.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich import box
from rich.table import Table

from knerve.bench.errors import BenchError
from knerve.bench.results import CaseResult

WHOLE = "whole slice"
SHOWN_COMMITS = 6  # the last ones; the file keeps all


@dataclass(frozen=True)
class Entry:
    """One method on one case in one benchmark; `seconds` holds the least time of the whole and of each stage."""

    created: str
    commit: str | None
    processor: str
    threads: int
    case: str
    method: str
    seconds: Mapping[str, float]

    @property
    def series(self) -> tuple[str, str, int, str]:
        """What must agree for two entries to be compared."""
        return self.case, self.method, self.threads, self.processor

    def as_dict(self) -> dict[str, object]:
        """Plain names and values."""
        return asdict(self)


def entries_of(
    results: Sequence[CaseResult], *, created: str, commit: str | None, processor: str, threads: int
) -> tuple[Entry, ...]:
    """Our own methods of one benchmark."""
    return tuple(
        Entry(
            created,
            commit,
            processor,
            threads,
            result.case.name,
            each.method.name,
            {WHOLE: each.seconds.least} | {name: spread.least for name, spread in each.stages.items()},
        )
        for result in results
        for each in result.measured
        if each.method.ours
    )


def to_lines(entries: Sequence[Entry]) -> str:
    """As JSON lines."""
    return "".join(json.dumps(entry.as_dict()) + "\n" for entry in entries)


def from_lines(text: str, name: str) -> tuple[Entry, ...]:
    """The entries of a history file.

    Raises:
        BenchError: a line is none of ours.
    """
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            entries.append(Entry(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise BenchError(f"Line {number} of {name} is no line of our history ({error}); remove it.") from error
    return tuple(entries)


def history_tables(entries: Sequence[Entry]) -> tuple[Table, ...]:
    """A table a series: a row a stage, a column a commit with the ratio to the commit before."""
    series: dict[tuple[str, str, int, str], list[Entry]] = {}
    for entry in entries:
        series.setdefault(entry.series, []).append(entry)
    return tuple(_table(mine) for mine in series.values())


def by_commit(entries: Sequence[Entry]) -> list[tuple[str, str, dict[str, float]]]:
    """(commit, date of its first benchmark, least seconds) in the order of time; neighbours of one commit are one."""
    rows: list[tuple[str, str, dict[str, float]]] = []
    for entry in entries:
        commit = entry.commit or "no commit"
        if not rows or rows[-1][0] != commit:
            rows.append((commit, entry.created, {}))
        least = rows[-1][2]
        for stage, seconds in entry.seconds.items():
            least[stage] = min(seconds, least.get(stage, seconds))
    return rows


def _table(entries: Sequence[Entry]) -> Table:
    last, rows = entries[-1], by_commit(entries)
    shown = range(max(0, len(rows) - SHOWN_COMMITS), len(rows))
    title = f"{last.case}, {last.method}, {last.threads} threads, {last.processor}: least seconds (ratio to the commit before)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("stage")
    for i in shown:
        table.add_column(f"{rows[i][0]}\n{rows[i][1][:10]}", justify="right")
    for stage in dict.fromkeys(stage for entry in entries for stage in entry.seconds):
        before = [{}, *(seconds for _, _, seconds in rows)]
        table.add_row(stage, *(_cell(rows[i][2].get(stage), before[i].get(stage)) for i in shown))
    return table


def _cell(now: float | None, before: float | None) -> str:
    if now is None:
        return "-"
    return f"{now:.3f}" + (f" ({now / before:.2f})" if before else "")
