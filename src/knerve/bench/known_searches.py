"""Searches that an earlier benchmark wrote down, so that they need not be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from knerve.bench.search import VERSION, Found, Point


class KnownSearches:
    """What was searched for each case and kind of image, as plain values; valid for the same data, version and care."""

    def __init__(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        self._entries = dict(entries)

    def find(self, case: str, key: str, *, data: str, version: str, quick: bool) -> Found | None:
        """What was found, or None; a careful search serves a quick benchmark too."""
        entry = self._entries.get(f"{case}/{key}")
        same = {"search": VERSION, "data": data, "version": version}
        if entry is None or {name: entry.get(name) for name in same} != same or (entry["quick"] and not quick):
            return None
        points = tuple(Point(**point) for point in entry["points"])
        return Found(Point(**entry["chosen"]), Point(**entry["best"]), points)

    def keep(self, case: str, key: str, found: Found, *, data: str, version: str, quick: bool) -> None:
        """Write down."""
        origin = {"search": VERSION, "data": data, "version": version, "quick": quick}
        self._entries[f"{case}/{key}"] = origin | asdict(found)

    def as_dict(self) -> dict[str, Mapping[str, Any]]:
        """For the report."""
        return dict(self._entries)
