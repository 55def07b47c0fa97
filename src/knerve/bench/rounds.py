"""The measurement: all methods in turns, A B C A B C, so that whatever else the machine does falls on all alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from knerve.bench.errors import MethodFailedError
from knerve.bench.methods import Magnitude, Measured, Setting
from knerve.bench.score import Score
from knerve.bench.worker_process import WorkerProcess

ScoreOf = Callable[[Magnitude], Score]


@dataclass(frozen=True)
class Run:
    """One timed run, the quality of its image, and how busy the machine was (processes that wanted to run, last minute)."""

    measured: Measured
    score: Score
    load: float | None


@dataclass
class Turns:
    """All runs of one method.

    Attributes:
        runs: in the order of the rounds, without the warm-up.
        problem: why it failed, or None.
        remark: why it has fewer runs than there were rounds though it did not fail, or None.
    """

    runs: list[Run] = field(default_factory=list)
    problem: str | None = None
    remark: str | None = None


def in_turns(
    workers: Sequence[WorkerProcess],
    settings: Mapping[str, Setting | None],
    score_of: ScoreOf,
    *,
    n_rounds: int,
    cap_s: float,
    say: Callable[[str], None],
) -> dict[str, Turns]:
    """Let every worker warm up once, then run all of them in each round.

    A method that fails is left out from then on, one that has run for `cap_s` seconds in all gets no more rounds.

    Args:
        workers: one a method.
        settings: of each method by name; None where it needs none.
        score_of: quality of an image.
        n_rounds: timed runs of each.
        cap_s: seconds of one method's timed runs after which it is left out; each has at least one.
        say: told what was measured.
    """
    turns = {worker.method.name: Turns() for worker in workers}
    for number in range(n_rounds + 1):
        said = []
        for worker in workers:
            name = worker.method.name
            mine = turns[name]
            if mine.problem is not None or mine.remark is not None:
                continue
            try:
                run = one_run(worker, settings[name], score_of)
            except MethodFailedError as error:
                mine.problem = f"{name}: {error}"
                said.append(f"{name} failed: {error}")
                continue
            said.append(f"{name} {run.measured.seconds:.2f} s")
            if number > 0:
                mine.runs.append(run)
            if number < n_rounds and mine.runs and sum(each.measured.seconds for each in mine.runs) >= cap_s:
                mine.remark = f"{len(mine.runs)} of {n_rounds} runs: those took longer than the cap of {cap_s:g} s."
        say(("Warm-up: " if number == 0 else f"Round {number} of {n_rounds}: ") + (", ".join(said) or "nothing left"))
    return turns


def one_run(worker: WorkerProcess, setting: Setting | None, score_of: ScoreOf) -> Run:
    """Run once and look at the image.

    Raises:
        MethodFailedError: it crashed, hung, or its image is none.
    """
    image, measured = worker.run(setting)
    return Run(measured, score_of(image), load())


def load() -> float | None:
    """Processes that wanted to run over the last minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None
