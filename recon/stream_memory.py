"""Coils of earlier scans, in bounded memory, for the next scan of the same patient in the same place.

A scan may use what scans knew that had ended before it began, and nothing else: so its images depend on the order of scans, and
not on which thread was quicker. Coils that were used again are kept as they were found, so that errors do not add up.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from threading import Lock

from knerve.recon.stream_reuse import KeptCoils

MOST_BYTES = 512 << 20
Place = tuple[int, Hashable]
"""Entry along the `slice` axis, and where it lies."""


class CoilMemory:
    """What one process remembers; a scan of another patient wipes it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._patient: Hashable = None
        self._scans: dict[Hashable, Mapping[Place, KeptCoils]] = {}  # the latest one last

    def begin(self, patient: Hashable, kind: Hashable) -> ScanMemory:
        """What a scan may know.

        Args:
            patient: whatever tells patients and their positions apart.
            kind: whatever must be the same in both scans: matrix, coils, settings.
        """
        if patient != self._patient:
            self._scans.clear()
            self._patient = patient
        return ScanMemory(self, patient, kind, self._scans.get(kind, {}))

    def remember(self, patient: Hashable, kind: Hashable, found: Mapping[Place, KeptCoils]) -> None:
        """Take the coils of a scan that has ended; for want of room the scans before it are forgotten, or else itself."""
        if patient != self._patient:
            return
        self._scans.pop(kind, None)
        self._scans[kind] = found
        while self._scans and self._n_bytes() > self.most_bytes:
            del self._scans[next(iter(self._scans))]

    def _n_bytes(self) -> int:
        return sum(kept.n_bytes for scan in self._scans.values() for kept in scan.values())


class ScanMemory:
    """What one scan knows of those before it, and leaves to those behind it."""

    def __init__(
        self, memory: CoilMemory, patient: Hashable, kind: Hashable, before: Mapping[Place, KeptCoils]
    ) -> None:
        self._memory, self._patient, self._kind, self._before = memory, patient, kind, before
        self._places: dict[int, Place] = {}
        self._found: dict[Place, KeptCoils] = {}
        self._n_bytes = 0
        self._lock = Lock()

    def lies_at(self, entry: int, where: Hashable) -> None:
        """Say where a slice lies, before it is calibrated."""
        self._places.setdefault(entry, (entry, where))

    def recall(self, entry: int) -> KeptCoils | None:
        """Coils of a slice in an earlier scan."""
        return self._before.get(self._places[entry])

    def keep(self, entry: int, coils: KeptCoils) -> None:
        """Remember the coils of a slice, unless all of the scan's take too much memory."""
        with self._lock:
            self._n_bytes += coils.n_bytes
            self._found[self._places[entry]] = coils
            if self._n_bytes > self._memory.most_bytes:
                self._found.clear()

    def finish(self) -> None:
        """Leave what was found to the next scan."""
        if self._n_bytes <= self._memory.most_bytes:
            self._memory.remember(self._patient, self._kind, self._found)
