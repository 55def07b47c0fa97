"""Times one reconstruction inside this process."""

from __future__ import annotations

import time

from knerve.bench.methods import Measured
from knerve.bench.peak_memory import peak_bytes, start_peak


class RunWatch:
    """Runs from its making on; `lap` names what was done since the last lap."""

    def __init__(self) -> None:
        start_peak()
        self._stages: dict[str, float] = {}
        self._cpu = time.process_time()
        self._started = self._lap = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self._stages[stage] = now - self._lap
        self._lap = now

    def stop(self, stages: dict[str, float] | None = None) -> Measured:
        """The run as it was measured; `stages` replaces the laps."""
        seconds = time.perf_counter() - self._started
        cpu = time.process_time() - self._cpu
        return Measured(seconds, cpu, self._stages if stages is None else stages, peak_bytes())
