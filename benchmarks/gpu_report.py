"""What the GPU check found: parts that failed, checks, times beside their floors, and one table of all."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One line of the table.

    Attributes:
        part: of the check.
        name: what was measured or checked.
        value: in `unit`.
        unit: "ms", "TB/s", "of noise", ...
        floor: least that the hardware allows, in the same unit, where known.
        limit: what a check may not exceed.
    """

    part: str
    name: str
    value: float
    unit: str
    floor: float | None = None
    limit: float | None = None

    @property
    def is_fine(self) -> bool:
        """Not a number is never fine."""
        return math.isfinite(self.value) and (self.limit is None or self.value <= self.limit)

    def line(self) -> str:
        """As the table shows it."""
        floor = "" if self.floor is None else f"{self.floor:10.4g} {self.value / max(self.floor, 1e-12):7.2f}"
        limit = "" if self.limit is None else f"{self.limit:.3g}"
        verdict = "" if self.limit is None else ("ok" if self.is_fine else "TOO MUCH")
        return f"{self.part:12.12} {self.name:56.56} {self.value:11.4g} {self.unit:10} {floor:18} {limit:>8} {verdict}"


@dataclass
class Report:
    """Grows while the check runs.

    Attributes:
        limit_s: after so many seconds no further part begins.
        rows: of the table.
        failures: traceback of each part that failed.
        skipped: why parts did not run.
        seconds: of each part.
        facts: anything else worth keeping: versions, choices, kernels.
    """

    limit_s: float
    rows: list[Row] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._start, self._part = time.perf_counter(), ""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Run a part of the check; what it raises is noted, and the next part goes on."""
        self._part, start = name, time.perf_counter()
        print(f"[{start - self._start:6.1f} s] {name}", flush=True)
        try:
            yield
        except (Exception, SystemExit) as error:  # whatever it is, the other parts are worth having
            self.failures[name] = traceback.format_exc()
            print(f"    FAILED: {type(error).__name__}: {str(error)[:300]}", flush=True)
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)
            self.save()

    def has_time_for(self, name: str) -> bool:
        """Whether there is time for a part; if not, says so in the report."""
        if time.perf_counter() - self._start < self.limit_s:
            return True
        self.skipped[name] = f"the {self.limit_s:g} s of the whole check were over"
        return False

    def measured(self, name: str, seconds: float, floor_s: float | None = None, limit_s: float | None = None) -> None:
        """A time, and the least it could be."""
        floor, limit = (None if s is None else 1e3 * s for s in (floor_s, limit_s))
        self._add(Row(self._part, name, 1e3 * seconds, "ms", floor, limit))

    def found(self, name: str, value: float, unit: str, limit: float | None = None) -> None:
        """Another number, and what it may not exceed."""
        self._add(Row(self._part, name, value, unit, None, limit))

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        print("   ", row.line(), flush=True)

    @property
    def is_fine(self) -> bool:
        """Nothing failed."""
        return not self.failures and all(row.is_fine for row in self.rows)

    def table(self) -> str:
        """All rows, then what failed or did not run."""
        head = f"{'part':12} {'what':56} {'value':>11} {'unit':10} {'floor':>10} {'x floor':>7} {'limit':>8}"
        lines = [head, *(row.line() for row in self.rows)]
        lines += [f"FAILED   {name}: {text.strip().splitlines()[-1][:200]}" for name, text in self.failures.items()]
        lines += [f"skipped  {name}: {why}" for name, why in self.skipped.items()]
        lines.append("all is well" if self.is_fine else "SOMETHING IS WRONG")
        return "\n".join(lines)

    folder: Path | None = None

    def save(self) -> None:
        """Write report.json and table.txt, again after every part: whatever stops the check, this much is there."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {
            "is_fine": self.is_fine,
            "facts": self.facts,
            "rows": [asdict(row) | {"is_fine": row.is_fine} for row in self.rows],
            "failures": self.failures,
            "skipped": self.skipped,
            "seconds": self.seconds,
        }
        (self.folder / "report.json").write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
        (self.folder / "table.txt").write_text(self.table() + "\n", encoding="utf-8")
