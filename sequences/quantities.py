"""Names that end in their unit: SI inside, the physicist's units in protocol files and in every message.

A field `echo_time_s` may stand in a file as `echo_time_ms`, `echo_time_us` or `echo_time_s`. Decimal arithmetic makes 9.39 ms the
same number as 0.00939 s.
"""

from __future__ import annotations

import math
from decimal import Decimal

from knerve.sequences.errors import ProtocolError

GAMMA_HZ_PER_T = 42.577478461e6  # of the shielded proton in water, CODATA 2022

# suffix: (SI suffix, power of ten); longer suffixes first, so that _t_per_m_per_s is not read as _s
UNITS: dict[str, tuple[str, int]] = {
    "t_per_m_per_s": ("t_per_m_per_s", 0),
    "mt_per_m": ("t_per_m", -3),
    "t_per_m": ("t_per_m", 0),
    "deg": ("deg", 0),
    "khz": ("hz", 3),
    "hz": ("hz", 0),
    "ms": ("s", -3),
    "us": ("s", -6),
    "mm": ("m", -3),
    "cm": ("m", -2),
    "s": ("s", 0),
    "m": ("m", 0),
    "t": ("t", 0),
}
SHOWN_AS = {"s": "ms", "m": "mm", "t_per_m": "mt_per_m"}


def split_unit(name: str) -> tuple[str, str]:
    """`echo_time_ms` as ("echo_time", "ms"); the unit is empty where the name has none."""
    for unit in UNITS:
        if name.endswith(f"_{unit}"):
            return name[: -len(unit) - 1], unit
    return name, ""


def si_name(name: str) -> str:
    """The name of the same quantity in SI: `echo_time_ms` as `echo_time_s`."""
    stem, unit = split_unit(name)
    return f"{stem}_{UNITS[unit][0]}" if unit else name


def shown_name(name: str) -> str:
    """The name of the same quantity as messages and presets write it: `echo_time_s` as `echo_time_ms`."""
    stem, unit = split_unit(name)
    return f"{stem}_{SHOWN_AS.get(unit, unit)}" if unit else name


def to_si(value: Decimal | float, name: str) -> float:
    """A number in the unit of its name as a number in SI."""
    unit = split_unit(name)[1]
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    return float(exact.scaleb(UNITS[unit][1]) if unit else exact)


def shown_value(value: float, name: str) -> float:
    """A number in SI as messages show it, in the unit of `shown_name`, to nine digits."""
    power = UNITS[split_unit(shown_name(name))[1]][1] if split_unit(name)[1] else 0
    return float(f"{value * 10.0**-power:.9g}")


def shown(value: float, name: str) -> str:
    """A number in SI as text in the unit of `shown_name`: 3.0 of `echo_time_s` as "3000"."""
    return f"{shown_value(value, name):g}" if math.isfinite(value) else str(value)


def refuse(field: str, value: float, reason: str, nearest: float) -> ProtocolError:
    """The error about a number: `field` is "section.name" with the SI name, both numbers are in SI."""
    section, name = field.split(".")
    where, good = f"{section}.{shown_name(name)}", shown(nearest, name)
    text = f"{where} is {shown(value, name)}; {reason}. Nearest valid value: {good}."
    return ProtocolError(text, field=where, nearest=shown_value(nearest, name))


def require_within(field: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside low to high, or one that is none."""
    if math.isfinite(value) and low <= value <= high:
        return
    name = field.split(".")[1]
    nearest = min(max(value, low), high) if not math.isnan(value) else low
    raise refuse(field, value, f"it must lie between {shown(low, name)} and {shown(high, name)}", nearest)
