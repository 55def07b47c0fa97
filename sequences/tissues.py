"""Tissues of the knee at 3 T: relaxation times and proton densities, each with its range and where it came from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError

Flag = Literal["S", "M", "?"]
FLAG_MEANING: Mapping[Flag, str] = {
    "S": "source seen",
    "M": "from memory of the source",
    "?": "assumed, no source found",
}


@dataclass(frozen=True)
class Known:
    """A number, how far it may lie off, and how we know it.

    Attributes:
        value: what simulations take.
        low: lower end of the range to sweep.
        high: upper end.
        flag: "S" source seen, "M" from memory of the source, "?" assumed.
        source: where it comes from.
    """

    value: float
    low: float
    high: float
    flag: Flag
    source: str


@dataclass(frozen=True)
class Tissue:
    """One tissue.

    Attributes:
        name: as in the table.
        t1_ms: longitudinal relaxation time.
        t2_ms: transverse relaxation time.
        pd: proton density relative to water.
        chemical_shift_ppm: against water, negative for fat.
        fat_like_fraction: share of the protons that spectral fat suppression removes.
    """

    name: str
    t1_ms: Known
    t2_ms: Known
    pd: Known
    chemical_shift_ppm: float = 0.0
    fat_like_fraction: float = 0.0


@lru_cache(maxsize=1)
def knee_tissues() -> Mapping[str, Tissue]:
    """The table that is part of the package, in its order."""
    return parse_tissues(files("knerve.sequences").joinpath("tissues.toml").read_text(encoding="utf-8"))


def tissue(name: str) -> Tissue:
    """One tissue of the table.

    Raises:
        ProtocolError: there is none of that name.
    """
    table = knee_tissues()
    if name not in table:
        raise ProtocolError(f"There is no tissue {name!r}; choose one of {', '.join(table)}.")
    return table[name]


def relaxation_s(tissues: Sequence[Tissue]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """T1 and T2 in seconds, (tissue) each."""
    t1 = np.array([each.t1_ms.value for each in tissues])
    t2 = np.array([each.t2_ms.value for each in tissues])
    return t1 * 1e-3, t2 * 1e-3


def parse_tissues(text: str) -> Mapping[str, Tissue]:
    """Tissues from a TOML text like `tissues.toml`.

    Raises:
        ProtocolError: the text is no such table, or a number lies outside its own range.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProtocolError(f"The tissue table is not valid TOML: {error}.") from error
    return {name: _tissue(name, entry) for name, entry in table.items()}


def _tissue(name: str, entry: object) -> Tissue:
    required, optional = {"t1_ms", "t2_ms", "pd"}, {"chemical_shift_ppm", "fat_like_fraction"}
    if not isinstance(entry, dict) or not required <= set(entry) <= required | optional:
        raise ProtocolError(
            f"Tissue {name!r} needs {sorted(required)} and may have {sorted(optional)}; it has {entry!r}."
        )
    known = {field: _known(f"{name}.{field}", entry[field]) for field in sorted(required)}
    if known["t2_ms"].value > known["t1_ms"].value:
        raise ProtocolError(f"Tissue {name!r} has a T2 above its T1; check the two.")
    return Tissue(
        name,
        t1_ms=known["t1_ms"],
        t2_ms=known["t2_ms"],
        pd=known["pd"],
        chemical_shift_ppm=float(entry.get("chemical_shift_ppm", 0.0)),
        fat_like_fraction=float(entry.get("fat_like_fraction", 0.0)),
    )


def _known(name: str, entry: object) -> Known:
    fields = ("value", "low", "high", "flag", "source")
    if not isinstance(entry, dict) or set(entry) != set(fields):
        raise ProtocolError(f"{name} needs exactly {', '.join(fields)}; it has {entry!r}.")
    numbers = [entry[field] for field in fields[:3]]
    if not all(isinstance(number, int | float) for number in numbers):
        raise ProtocolError(f"{name} has value, low and high {numbers!r}; give numbers.")
    value, low, high = map(float, numbers)
    if not 0 < low <= value <= high:
        raise ProtocolError(
            f"{name} is {value:g} in the range {low:g} to {high:g}; the value must lie inside, above 0."
        )
    if entry["flag"] not in get_args(Flag):
        raise ProtocolError(f"{name} has the flag {entry['flag']!r}; choose one of {', '.join(get_args(Flag))}.")
    return Known(value, low, high, entry["flag"], str(entry["source"]))
