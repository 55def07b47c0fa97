"""Protocol files: TOML text to sections, strictly; every field is known, of its type, and named with its unit."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection
from dataclasses import MISSING, fields
from decimal import Decimal
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from knerve.sequences.errors import ProtocolError
from knerve.sequences.provenance import Provenance, RangedValue
from knerve.sequences.quantities import UNITS, shown_name, si_name, split_unit, to_si
from knerve.sequences.sections import (
    EchoTrain,
    FatSuppression,
    Geometry,
    Pulses,
    Schedule,
    Sections,
    System,
    Undersampling,
)

AnySection = Geometry | EchoTrain | Schedule | Undersampling | Pulses | FatSuppression | System
SECTIONS: dict[str, type[AnySection]] = {
    "geometry": Geometry,
    "echo_train": EchoTrain,
    "schedule": Schedule,
    "undersampling": Undersampling,
    "pulses": Pulses,
    "fat_suppression": FatSuppression,
    "system": System,
}
REQUIRED = ("geometry", "echo_train", "schedule")
TEXTS = ("name", "description")
PROVENANCE = ("source", "scan_time_s", "paper", "reconstruction", "memory", "notes")

Section = TypeVar("Section", bound=AnySection)


def read_sections(text: str, *, name: str = "") -> Sections:
    """Read the text of a protocol file.

    Raises:
        ProtocolError: not TOML, an unknown or missing section or field, a wrong type, or an impossible value.
    """
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as problem:
        raise ProtocolError(f"The protocol {name} is not TOML: {problem}. Correct the text at that place.") from problem
    _check_names("", tables, (*TEXTS, *SECTIONS, "provenance"))
    for section in REQUIRED:
        if section not in tables:
            raise ProtocolError(
                f"The protocol lacks the section [{section}]. Add it; a preset shows how.", field=section
            )
    for title in TEXTS:
        _check_type(title, tables.get(title, ""), str)
    return Sections(
        geometry=_read(Geometry, "geometry", tables),
        echo_train=_read(EchoTrain, "echo_train", tables),
        schedule=_read(Schedule, "schedule", tables),
        undersampling=_read(Undersampling, "undersampling", tables),
        pulses=_read(Pulses, "pulses", tables),
        fat_suppression=_read(FatSuppression, "fat_suppression", tables),
        system=_read(System, "system", tables),
        provenance=_read_provenance(tables),
        name=tables.get("name", name),
        description=tables.get("description", ""),
    )


def _read(section: type[Section], title: str, tables: dict[str, Any]) -> Section:
    """One section from its table; quantities may come in any unit of their kind."""
    table = _table(title, tables)
    known = {field.name: field for field in fields(section)}
    _check_names(title, table, known)
    types = get_type_hints(section)
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = si_name(key)
        if name in values:
            raise ProtocolError(
                f"{title}.{shown_name(name)} is given twice, in two units. Leave one out.", field=f"{title}.{key}"
            )
        values[name] = _value(f"{title}.{key}", value, types[name])
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise ProtocolError(f"[{title}] lacks {shown_name(name)}. Add it.", field=f"{title}.{shown_name(name)}")
    return section(**values)


def _value(where: str, value: object, expected: object) -> object:
    """A value of a file as its field wants it: numbers in SI, everything of the right type."""
    if isinstance(expected, UnionType):
        expected = next(option for option in get_args(expected) if option is not type(None))
    _check_type(where, value, str if get_origin(expected) is Literal else expected)
    if expected is float and isinstance(value, Decimal | int | float):
        return to_si(value, where)
    return value


def _check_type(where: str, value: object, expected: object) -> None:
    kinds: dict[object, tuple[tuple[type, ...], str]] = {
        float: ((int, float, Decimal), "a number"),
        int: ((int,), "a whole number"),
        str: ((str,), "text in quotes"),
    }
    accepted, word = kinds[expected]
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ProtocolError(f"{where} is {_as_written(value)}; expected {word}.", field=where)


def _as_written(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)


def _check_names(title: str, table: dict[str, Any], known: Collection[str]) -> None:
    """Refuse a name that is none of the known ones, in any unit, and give the one that looks most like it."""
    for key in table:
        if si_name(key) in known:
            continue
        shown = [shown_name(name) for name in known]
        nearest = _nearest(key, shown)
        kind, where = ("field", f"{title}.{key}") if title else ("section", key)
        hint = f" ({_unit_hint(key, nearest)})" if _unit_hint(key, nearest) else ""
        raise ProtocolError(
            f"{where} is not a known {kind}. Nearest valid name: {nearest}{hint}.", field=where, nearest=nearest
        )


def _nearest(key: str, names: list[str]) -> str:
    """The same name with another unit if there is one, else the most similar."""
    stem = split_unit(key)[0]
    same_stem = [name for name in names if stem == split_unit(name)[0]]
    return (same_stem or difflib.get_close_matches(key, names, n=1, cutoff=0.0))[0]


def _unit_hint(key: str, nearest: str) -> str:
    """Which units the nearest field takes, where only the unit is missing or wrong."""
    stem, unit = split_unit(nearest)
    if not unit or split_unit(key)[0] != stem:
        return ""
    return "units: " + ", ".join(other for other in UNITS if UNITS[other][0] == UNITS[unit][0])


def _table(title: str, tables: dict[str, Any]) -> dict[str, Any]:
    table = tables.get(title, {})
    if not isinstance(table, dict):
        raise ProtocolError(f"{title} is {_as_written(table)}; expected a section [{title}].", field=title)
    return table


def _read_provenance(tables: dict[str, Any]) -> Provenance:
    """Where the numbers come from; every field named there must exist."""
    table = _table("provenance", tables)
    _check_names("provenance", table, PROVENANCE)
    _check_type("provenance.source", table.get("source", ""), str)
    stated = table.get("scan_time_s")
    if stated is not None:
        _check_type("provenance.scan_time_s", stated, float)
    memory, notes = _table("memory", table), _table("notes", table)
    return Provenance(
        source=table.get("source", ""),
        paper=_field_names("paper", table),
        reconstruction=_field_names("reconstruction", table),
        memory=tuple(_ranged(key, limits) for key, limits in memory.items()),
        notes=tuple((_field_name("notes", key), str(note)) for key, note in notes.items()),
        scan_time_s=None if stated is None else float(stated),
    )


def _field_names(kind: str, table: dict[str, Any]) -> tuple[str, ...]:
    names = table.get(kind, [])
    if not isinstance(names, list):
        raise ProtocolError(
            f"provenance.{kind} is {_as_written(names)}; expected a list of fields.", field=f"provenance.{kind}"
        )
    return tuple(_field_name(kind, name) for name in names)


def _field_name(kind: str, name: object) -> str:
    """A field "section.name_unit" as "section.name" with the SI name."""
    title, _, key = str(name).partition(".")
    if title not in SECTIONS or si_name(key) not in {field.name for field in fields(SECTIONS[title])}:
        every = [f"{section}.{shown_name(f.name)}" for section, cls in SECTIONS.items() for f in fields(cls)]
        nearest = _nearest(str(name), every)
        raise ProtocolError(
            f"provenance.{kind} names {name!r}, which is not a field. Nearest valid name: {nearest}.",
            field=f"provenance.{kind}",
            nearest=nearest,
        )
    return f"{title}.{si_name(key)}"


def _ranged(key: str, limits: object) -> RangedValue:
    if not (isinstance(limits, list) and len(limits) == 2):
        raise ProtocolError(
            f"provenance.memory.{key} is {limits!r}; expected a range, [low, high].", field="provenance.memory"
        )
    for limit in limits:
        _check_type(f"provenance.memory.{key}", limit, float)
    return RangedValue(_field_name("memory", key), to_si(limits[0], key), to_si(limits[1], key))
