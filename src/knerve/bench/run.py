"""The benchmark on one page: every case in turn, then the table, the figure, the report and the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from knerve.bench.case_bench import bench_case
from knerve.bench.errors import BenchError
from knerve.bench.history import entries_of, from_lines, history_tables, to_lines
from knerve.bench.known_searches import KnownSearches
from knerve.bench.machine import Machine, cores, machine_facts
from knerve.bench.options import BenchOptions
from knerve.bench.output import FIGURE_FILE, HISTORY_FILE, BenchFolder
from knerve.bench.plot import plot_png
from knerve.bench.results import CaseResult
from knerve.bench.table import counted_lines, results_table, stages_table
from knerve.bench.workspace import workspace
from knerve.terminal import Terminal, facts_table


def run_bench(talk: Terminal, out: Path, options: BenchOptions) -> bool:
    """Measure, write `report.json`, `bench.png` and `history.jsonl` into `out`, and tell. Returns whether no method failed.

    Raises:
        OutputError: `out` cannot be written or holds files of others, or there is no room for the data.
        BenchError: the history in `out` is damaged.
    """
    folder = BenchFolder(out)
    from_lines(folder.history, HISTORY_FILE)  # refuse now, not after an hour
    machine, created = machine_facts(), datetime.now(UTC).isoformat(timespec="seconds")
    if options.n_threads > cores():
        talk.notes((f"Warning: {options.n_threads} threads on {cores()} core(s): the times say little.",))
    known = KnownSearches({} if options.search_again else folder.report.get("searches", {}))

    def write_down_searches() -> None:
        folder.report["searches"] = known.as_dict()
        folder.publish()

    with workspace() as (room, kind):
        results = [bench_case(case, options, known, room, talk.step, write_down_searches) for case in options.cases]
    folder.report = {
        "created": created,
        "machine": asdict(machine),
        "threads": options.n_threads,
        "rounds": options.n_runs,
        "cap_s": options.cap_s,
        "quick": options.quick,
        "data_on": kind,
        "cases": [result.as_dict() for result in results],
        "searches": known.as_dict(),
    }
    entries = entries_of(
        results,
        created=created,
        commit=machine.commit,
        processor=machine.processor,
        threads=options.n_threads,
    )
    folder.history += to_lines(entries)
    folder.figure = b""
    folder.publish()  # the numbers first
    folder.figure = plot_png(results, figure_remark(machine, options, created))
    folder.publish()
    _tell(talk, folder, results, machine)
    return not any(each.problem for result in results for each in result.methods)


def show_history(talk: Terminal, out: Path) -> None:
    """Tell how our own speed changed, from what benchmarks left in `out`.

    Raises:
        BenchError: there is no history, or it is damaged.
    """
    file = out / HISTORY_FILE
    if not file.is_file():
        raise BenchError(f"{file} does not exist: no benchmark has been written to {out}. Run `knerve bench` first.")
    entries = from_lines(file.read_text(encoding="utf-8"), file.name)
    talk.answer({"history": [entry.as_dict() for entry in entries]}, *history_tables(entries))


def figure_remark(machine: Machine, options: BenchOptions, created: str) -> str:
    """On what was measured, in one line."""
    load = machine.load_at_start
    busy = "" if load is None else f", load {load:.1f} at the start"
    commit = f", commit {machine.commit}" if machine.commit else ""
    return f"{machine.processor}, {options.n_threads} threads{busy}; {created[:10]}{commit}"


def _tell(talk: Terminal, folder: BenchFolder, results: Sequence[CaseResult], machine: Machine) -> None:
    parts: list[Table | str] = []
    for result in results:
        parts += [results_table(result), stages_table(result), *counted_lines(result), ""]
    written = ", ".join(str(folder.path / name) for name in ("report.json", FIGURE_FILE, HISTORY_FILE))
    facts = {"machine": asdict(machine), "written to": written}
    talk.answer({"out": folder.path} | folder.report, *parts, facts_table(facts))
