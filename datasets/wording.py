"""Words for people: numbers that agree with their nouns."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """`1 slice`, `2 slices`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
