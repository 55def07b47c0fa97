"""What was measured of one case, with medians and ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from knerve.bench.cases import Case
from knerve.bench.methods import Method, Setting
from knerve.bench.rounds import Run
from knerve.bench.search import Found

CALIBRATION = "calibration"


@dataclass(frozen=True)
class Spread:
    """Median, least and most of several runs."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class MethodResult:
    """One method on one case.

    Attributes:
        method: who.
        version: of the tool.
        runs: every timed run.
        setting: None for automatic defaults.
        found: the search that gave the setting, or None.
        problem: why it failed, or None.
        remark: why it has fewer runs than the others, or None.
    """

    method: Method
    version: str
    runs: tuple[Run, ...]
    setting: Setting | None = None
    found: Found | None = None
    problem: str | None = None
    remark: str | None = None

    @property
    def seconds(self) -> Spread:
        """Whole slice."""
        return Spread.of([run.measured.seconds for run in self.runs])

    @property
    def cpu_seconds(self) -> Spread:
        """Of all threads."""
        return Spread.of([run.measured.cpu_seconds for run in self.runs])

    def stage(self, name: str) -> Spread | None:
        """One part of the whole; None where there is no such part."""
        values = [run.measured.stages[name] for run in self.runs if name in run.measured.stages]
        return Spread.of(values) if values else None

    @property
    def stages(self) -> dict[str, Spread]:
        """Every part of the whole, in order."""
        names = dict.fromkeys(name for run in self.runs for name in run.measured.stages)
        return {name: spread for name in names if (spread := self.stage(name)) is not None}

    @property
    def peak_bytes(self) -> int | None:
        """Largest memory of any run."""
        return max((run.measured.peak_bytes for run in self.runs if run.measured.peak_bytes is not None), default=None)

    @property
    def nrmse(self) -> float:
        """Of the images of all runs; those of one tool hardly differ."""
        return median(run.score.nrmse for run in self.runs)

    @property
    def ssim(self) -> float:
        """Of the images of all runs."""
        return median(run.score.ssim for run in self.runs)

    def as_dict(self) -> dict[str, object]:
        """For the report, with every run."""
        measured: dict[str, object] = {}
        if self.runs:
            measured = {
                "seconds": asdict(self.seconds),
                "cpu_seconds": asdict(self.cpu_seconds),
                "stages": {name: asdict(spread) for name, spread in self.stages.items()},
                "peak_bytes": self.peak_bytes,
                "nrmse": self.nrmse,
                "ssim": self.ssim,
            }
        return {
            "name": self.method.name,
            "label": self.method.label,
            "version": self.version,
            "counted": self.method.counted,
            "environment": dict(self.method.environment),
            "setting": "automatic defaults" if self.method.search is None else self.setting and asdict(self.setting),
            "best": None if self.found is None else asdict(self.found.best),
            "problem": self.problem,
            "remark": self.remark,
            **measured,
            "runs": [asdict(run) for run in self.runs],
        }


@dataclass(frozen=True)
class CaseResult:
    """All methods on one case.

    Attributes:
        case: what was reconstructed.
        reference: name of the method that the others are compared with.
        methods: in the order of the rounds.
        skipped: peers that are not here, with the reason.
    """

    case: Case
    reference: str
    methods: tuple[MethodResult, ...]
    skipped: dict[str, str]

    @property
    def measured(self) -> tuple[MethodResult, ...]:
        """Those that have runs."""
        return tuple(result for result in self.methods if result.runs)

    @property
    def ours(self) -> MethodResult | None:
        """The reference, if it was measured."""
        return next((result for result in self.measured if result.method.name == self.reference), None)

    def as_dict(self) -> dict[str, object]:
        """For the report; `times_reference` is a method's median over that of the reference."""
        methods = []
        for result in self.methods:
            ratio = result.seconds.median / self.ours.seconds.median if result.runs and self.ours else None
            methods.append(result.as_dict() | {"times_reference": ratio})
        return {"case": asdict(self.case), "reference": self.reference, "methods": methods, "skipped": self.skipped}
