"""`knerve bench`: the command line's side of the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knerve.terminal import terminal


def bench(
    case: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="R2, R3, R4, R6, or small for a quick look.")
    ] = "R3,R6",
    peers: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME",
            help="bart, bart-tuned, bart-cc8, sigpy, mrpro, mirtorch, deepinv; or available, or none.",
        ),
    ] = "available",
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each method, all methods in turns.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each method.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for report, figure, history.")] = Path("knerve-bench"),
    cap: Annotated[
        float, typer.Option(min=0, help="Seconds of timed runs after which a slow method gets no more.")
    ] = 120.0,
    quick: Annotated[bool, typer.Option("--quick", help="Search the peers' best settings coarsely.")] = False,
    search_again: Annotated[bool, typer.Option("--search-again", help="Forget the searches that --out holds.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Only show how knerve's own speed changed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")] = False,
) -> None:
    """Measure knerve beside other reconstructions: the same simulated slice, the same threads, in turns."""
    from knerve.bench.cases import find_cases
    from knerve.bench.registry import OWN, find_peers

    try:
        cases, others = find_cases(case.split(",")), find_peers(peers.split(","))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with terminal(as_json) as talk:
        from knerve.bench.options import BenchOptions
        from knerve.bench.run import run_bench, show_history

        if history:
            show_history(talk, out)
            return
        options = BenchOptions(cases, OWN, others, runs, threads, cap, quick, search_again)
        if not run_bench(talk, out, options):
            raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Give the command line its `bench`."""
    app.command()(bench)
