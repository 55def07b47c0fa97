"""Notes for the user: every slice may leave one, a scan shows one of each kind."""

from __future__ import annotations

import re
from collections.abc import Iterable

from knerve.recon.learned.trust import BOUND

REPLACED = "a learned image was replaced by compressed sensing:"
NUMBERED = (
    re.compile(r"learned reconstruction: at most (\S+) % "),
    re.compile(REPLACED + r" (.*) \(chi-square (\S+?),? "),
)


def held_back_note(share: float) -> str:
    """What the bound did to the slice where it did most; `share` of its pixels."""
    return (
        f"learned reconstruction: at most {100 * share:.2g} % of a slice's pixels were held back at {BOUND:g} noise standard "
        "deviations from the linear solution."
    )


def replaced_note(complaint: str) -> str:
    """Why an image is not the network's."""
    return f"{REPLACED} {complaint}."


def one_of_a_kind(notes: Iterable[str]) -> tuple[str, ...]:
    """Each note once; of those that differ by a measured number only the one with the largest, in the place of the first."""
    kept: dict[str, tuple[float, str]] = {}
    for note in notes:
        kind, number = _kind(note)
        if kind not in kept or number > kept[kind][0]:
            kept[kind] = (number, note)
    return tuple(note for _, note in kept.values())


def _kind(note: str) -> tuple[str, float]:
    """What a note has in common with those of other slices, and its number."""
    for pattern in NUMBERED:
        found = pattern.match(note)
        if found is not None:
            *words, number = found.groups()
            return pattern.pattern + "".join(words), float(number)
    return note, 0.0
