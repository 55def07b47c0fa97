"""One case from its simulation to its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from knerve.bench.case_files import CaseFiles
from knerve.bench.cases import Case
from knerve.bench.errors import MethodFailedError
from knerve.bench.known_searches import KnownSearches
from knerve.bench.methods import Method
from knerve.bench.options import BenchOptions
from knerve.bench.preparation import prepare
from knerve.bench.results import CaseResult, MethodResult
from knerve.bench.rounds import Turns, in_turns
from knerve.bench.score import nrmse, score
from knerve.bench.search import Found, search
from knerve.bench.source import Truth
from knerve.bench.worker_process import WorkerProcess

Say = Callable[[str], None]


def bench_case(
    case: Case, options: BenchOptions, known: KnownSearches, room: Path, say: Say, on_found: Callable[[], None]
) -> CaseResult:
    """Simulate, search, measure in turns.

    Args:
        case: what to reconstruct.
        options: who, how often.
        known: earlier searches; gains those made now.
        room: folder for the data.
        say: told what happens.
        on_found: called after each new search, to write it down.

    Raises:
        OutputError: the data cannot be written.
    """
    say(f"Simulating {case.words()}")
    (room / case.name).mkdir()
    files, truth = prepare(case, room / case.name)
    reasons = {method.name: method.missing() for method in options.peers}
    skipped = {name: reason for name, reason in reasons.items() if reason is not None}
    for name, reason in skipped.items():
        say(f"{name} is skipped: {reason}")
    methods = [*options.own, *(peer for peer in options.peers if peer.name not in skipped)]
    found, problems = _searched(methods, files, truth, options, known, say, on_found)
    turns = _measured([method for method in methods if method.name not in problems], files, truth, options, found, say)
    results = tuple(_result(method, turns, found, problems) for method in methods)
    return CaseResult(case, options.own[0].name, results, skipped)


def _searched(
    methods: Sequence[Method],
    files: CaseFiles,
    truth: Truth,
    options: BenchOptions,
    known: KnownSearches,
    say: Say,
    on_found: Callable[[], None],
) -> tuple[dict[str, Found], dict[str, str]]:
    """The settings of all methods that need one, by name, and why there is none for some."""
    found: dict[str, Found] = {}
    problems: dict[str, str] = {}
    # of methods that make the same images the last is the fastest
    searchers = {method.search.key: method for method in methods if method.search is not None}
    for key, searcher in searchers.items():
        sharing = [method.name for method in methods if method.search is not None and method.search.key == key]
        data, version = files.digest(), searcher.version()
        result = known.find(files.case.name, key, data=data, version=version, quick=options.quick)
        origin = "searched earlier"
        if result is None:
            say(f"Searching the best setting of {', '.join(sharing)}")
            try:
                result = _search(searcher, files, truth, options)
            except MethodFailedError as error:
                problems |= {name: f"{name}: no setting was found: {error}" for name in sharing}
                say(f"The search failed: {error}")
                continue
            known.keep(files.case.name, key, result, data=data, version=version, quick=options.quick)
            on_found()
            origin = f"of {len(result.points)} tried"
        chosen = result.chosen
        say(
            f"{', '.join(sharing)}: weight {chosen.weight:.3g}, {chosen.iterations} iterations, NRMSE {chosen.nrmse:.4f} "
            f"(best {result.best.nrmse:.4f}; {origin})"
        )
        found |= dict.fromkeys(sharing, result)
    return found, problems


def _search(method: Method, files: CaseFiles, truth: Truth, options: BenchOptions) -> Found:
    """In a process of its own, which ends with the search."""
    assert method.search is not None, "only methods with a setting are searched"
    with WorkerProcess(method, files, options.n_threads) as worker:
        return search(worker.curve, lambda image: nrmse(image, truth), method.search.start, quick=options.quick)


def _measured(
    methods: Sequence[Method],
    files: CaseFiles,
    truth: Truth,
    options: BenchOptions,
    found: dict[str, Found],
    say: Say,
) -> dict[str, Turns]:
    with ExitStack() as running:
        workers = [running.enter_context(WorkerProcess(method, files, options.n_threads)) for method in methods]
        return in_turns(
            workers,
            {method.name: found[method.name].setting if method.search is not None else None for method in methods},
            lambda image: score(image, truth),
            n_rounds=options.n_runs,
            cap_s=options.cap_s,
            say=say,
        )


def _result(method: Method, turns: dict[str, Turns], found: dict[str, Found], problems: dict[str, str]) -> MethodResult:
    mine = turns.get(method.name, Turns(problem=problems.get(method.name)))
    searched = found.get(method.name)
    return MethodResult(
        method=method,
        version=method.version(),
        runs=tuple(mine.runs),
        setting=None if searched is None else searched.setting,
        found=searched,
        problem=mine.problem,
        remark=mine.remark,
    )
