"""Where each number of a protocol comes from: the publication, our reconstruction of it, or memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Origin = Literal["paper", "reconstruction", "memory", "not stated"]


@dataclass(frozen=True)
class RangedValue:
    """A value from memory: the field as "section.name" and the range within which to sweep it, in SI."""

    field: str
    low: float
    high: float


@dataclass(frozen=True)
class Provenance:
    """Where a protocol's numbers come from; fields as "section.name" with the SI name.

    Attributes:
        source: the publication.
        paper: fields that it states.
        reconstruction: fields that are our reconstruction.
        memory: fields whose value is from memory, with their ranges.
        notes: (field, what else to know).
        scan_time_s: the scan time that the publication states, or None.
    """

    source: str = ""
    paper: tuple[str, ...] = ()
    reconstruction: tuple[str, ...] = ()
    memory: tuple[RangedValue, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    scan_time_s: float | None = None

    def origin_of(self, name: str) -> Origin:
        """Where the value of the field "section.name" comes from."""
        if name in self.paper:
            return "paper"
        if name in self.reconstruction:
            return "reconstruction"
        return "memory" if any(value.field == name for value in self.memory) else "not stated"
