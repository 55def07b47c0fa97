"""Questions to an XML document that always have an answer."""

from __future__ import annotations

import math
import re
from xml.etree.ElementTree import Element


class XmlNode:
    """One XML element, or the absence of one: every question has an answer, and unreadable values leave a note."""

    def __init__(self, element: Element | None, notes: list[str]) -> None:
        self.element = element
        self.notes = notes

    def __bool__(self) -> bool:
        return self.element is not None

    def note(self, text: str) -> None:
        """Tell the user."""
        self.notes.append(text)

    def children(self, name: str) -> list[XmlNode]:
        """All children of this local name."""
        found = [] if self.element is None else [e for e in self.element if local_name(e) == name]
        return [XmlNode(element, self.notes) for element in found]

    def child(self, name: str) -> XmlNode:
        """The first child of this name, or an absent node."""
        return next(iter(self.children(name)), XmlNode(None, self.notes))

    def texts(self, name: str) -> list[str]:
        """Text of each child of this name."""
        nodes = [node.element for node in self.children(name)]
        return [(element.text or "").strip() for element in nodes if element is not None]

    def text(self, name: str) -> str:
        """Text of the first child of this name, or nothing."""
        return next(iter(self.texts(name)), "")

    def numbers(self, name: str) -> tuple[float, ...]:
        """Finite numbers among the children of this name; others leave a note."""
        values = []
        for text in filter(None, self.texts(name)):
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if math.isfinite(value):
                values.append(value)
            else:
                self.note(f"Header: {name} is {text[:40]!r}, not a number; it was ignored.")
        return tuple(values)

    def number(self, name: str) -> float | None:
        """The first number, or None."""
        return next(iter(self.numbers(name)), None)

    def integer(self, name: str) -> int | None:
        """The first number if it is whole, else None."""
        value = self.number(name)
        if value is None or value.is_integer():
            return None if value is None else int(value)
        self.note(f"Header: {name} is {value:g}, not a whole number; it was ignored.")
        return None

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """The text as one of `allowed`, in its spelling, or nothing."""
        text = self.text(name)
        for value in allowed:
            if value.lower() == text.lower():
                return value
        if text:
            self.note(f"Header: {name} is {text[:40]!r}, none of {', '.join(allowed)}; it was ignored.")
        return ""

    def date(self, name: str) -> str:
        """A date as YYYY-MM-DD, or nothing."""
        return self._match(name, r"(\d{4})-?(\d{2})-?(\d{2})", "-", "a date like 2026-11-21")

    def time(self, name: str) -> str:
        """A time as HH:MM:SS, or nothing."""
        return self._match(name, r"(\d{2}):?(\d{2}):?(\d{2})", ":", "a time like 14:05:59")

    def _match(self, name: str, pattern: str, separator: str, expected: str) -> str:
        text = self.text(name)
        match = re.match(pattern, text)
        if text and not match:
            self.note(f"Header: {name} is {text[:40]!r}, not {expected}; it was ignored.")
        return separator.join(match.groups()) if match else ""


def local_name(element: Element) -> str:
    """Tag without its namespace."""
    return str(element.tag).rpartition("}")[2]
