"""What the benchmark knows of a method, and what a method must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from knerve.bench.case_files import CaseFiles

Magnitude = NDArray[np.float32]


@dataclass(frozen=True)
class Setting:
    """What a peer must be told: weight of its regularisation, in its own units, and iterations."""

    weight: float
    iterations: int


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        seconds: of the whole slice, by the wall clock.
        cpu_seconds: of all threads; on a busy machine it says more than the clock.
        stages: seconds of the parts, in their order; `calibration` is that of the coils alone.
        peak_bytes: resident memory of the process at its largest; None where the system does not say.
    """

    seconds: float
    cpu_seconds: float
    stages: Mapping[str, float]
    peak_bytes: int | None


class Runner(Protocol):
    """A method with the data of one case in its memory, or beside it as files."""

    def run(self, setting: Setting | None) -> tuple[Magnitude, Measured]:
        """Reconstruct once, with the clock running; the image (y, x). `setting` is None for methods that need none."""


@runtime_checkable
class SearchedRunner(Runner, Protocol):
    """A method that must be told its setting."""

    def curve(self, weight: float, iterations: Sequence[int]) -> Magnitude:
        """The images (iteration, y, x) after each of these numbers of iterations, in rising order; nothing is timed."""


@dataclass(frozen=True)
class Search:
    """How the best setting of a peer is found.

    Attributes:
        key: methods that make the same images share a search.
        start: first weight to try.
    """

    key: str
    start: float


@dataclass(frozen=True)
class Method:
    """A reconstruction that takes part.

    Attributes:
        name: as the command line takes it.
        home: module whose `METHODS` hold it; its worker imports nothing else of ours.
        label: as the table shows it.
        counted: what its time contains, in words.
        start: opens a case for it, in the worker; heavy libraries are imported there.
        missing: why it cannot run here and what to do, or None.
        version: of the tool.
        environment: variables of its process.
        search: None for methods that need no setting.
        ours: whether it is knerve's own.
    """

    name: str
    home: str
    label: str
    counted: str
    start: Callable[[CaseFiles, int], Runner]
    missing: Callable[[], str | None]
    version: Callable[[], str]
    environment: Mapping[str, str] = field(default_factory=dict)
    search: Search | None = None
    ours: bool = False
