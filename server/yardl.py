"""Values as yardl writes them (MRD version 2): how each kind of type is read and written.

Sizes are checked before memory is taken, and every type takes a byte at least, so that what is read ends.

Records are dicts, enumerations their symbols (numbers where they have a base type: flags), unions (tag, value), dates and times
ISO 8601 texts. What is written may leave out fields: they are empty, or zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from knerve.server.errors import MalformedMessageError
from knerve.server.yardl_bytes import Taker, read_number, read_text, write_number, write_text

MOST_DIMENSIONS = 16
LARGEST_FIXED = 4096  # values of an array or a vector whose size stands in the schema
RAW_TYPES = {"int8": "<i1", "uint8": "<u1", "float32": "<f4", "float64": "<f8"}
RAW_TYPES |= {"complexfloat32": "<c8", "complexfloat64": "<c16"}
UNSIGNED = {"uint16": "<u2", "uint32": "<u4", "uint64": "<u8", "size": "<u8"}
SIGNED = {"int16": "<i2", "int32": "<i4", "int64": "<i8"}
Value = Any  # whatever a type of the stream holds
EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Codec:
    """How values of one type are read and written.

    Attributes:
        read: takes a value from a stream.
        write: puts a value, or None for an empty one, behind what was written.
        item: what its values are in arrays; None where they may not be.
        is_raw: whether they stand in arrays as they stand in memory.
    """

    read: Callable[[Taker], Any]
    write: Callable[[bytearray, Any], None]
    item: np.dtype[Any] | None = None
    is_raw: bool = False


def simple_codec(name: str) -> Codec | None:
    """The codec of a type that has a name; None where it has none of these."""
    if name in RAW_TYPES:
        return _raw(np.dtype(RAW_TYPES[name]))
    if name in UNSIGNED:
        return Codec(read_number, lambda out, value: write_number(out, int(value or 0)), np.dtype(UNSIGNED[name]))
    if name in SIGNED:
        return Codec(_read_signed, lambda out, value: _write_signed(out, int(value or 0)), np.dtype(SIGNED[name]))
    return {
        "bool": Codec(lambda taker: taker.small(1) != b"\0", lambda out, value: out.append(bool(value))),
        "string": Codec(read_text, lambda out, value: write_text(out, value or "")),
        "date": Codec(_read_date, _not_written),
        "time": Codec(_read_time, _not_written),
        "datetime": Codec(_read_signed, _not_written),
    }.get(name)


def _raw(kind: np.dtype[Any]) -> Codec:
    def read(taker: Taker) -> Value:
        return np.frombuffer(taker.small(kind.itemsize), kind)[0]

    def write(out: bytearray, value: Value) -> None:
        out += np.asarray(value or 0, kind).tobytes()

    return Codec(read, write, kind, is_raw=True)


def _read_signed(taker: Taker) -> int:
    number = read_number(taker)
    return number >> 1 ^ -(number & 1)


def _write_signed(out: bytearray, number: int) -> None:
    write_number(out, number << 1 if number >= 0 else (-number << 1) - 1)


def _read_date(taker: Taker) -> str:
    days = _read_signed(taker)
    try:
        return date.fromordinal(EPOCH + days).isoformat()
    except (ValueError, OverflowError) as error:
        raise MalformedMessageError(f"{days} days after 1970 is no date.") from error


def _read_time(taker: Taker) -> str:
    seconds, nanoseconds = divmod(_read_signed(taker), 10**9)
    hours, minutes = seconds // 3600 % 24, seconds // 60 % 60
    return f"{hours:02}:{minutes:02}:{seconds % 60:02}.{nanoseconds // 1000:06}"


def _not_written(_: bytearray, value: Value) -> None:
    raise ValueError(f"Dates and times are read, not written; {value!r} came.")


def optional_codec(other: Codec) -> Codec:
    """A byte that tells whether there is a value, and the value."""

    def write(out: bytearray, value: Value) -> None:
        out.append(value is not None)
        if value is not None:
            other.write(out, value)

    return Codec(lambda taker: other.read(taker) if taker.small(1) != b"\0" else None, write)


def union_codec(cases: Sequence[tuple[str, Codec]]) -> Codec:
    """The number of a case, and its value: (tag, value)."""
    numbers = {tag: number for number, (tag, _) in enumerate(cases)}

    def read(taker: Taker) -> tuple[str, Any]:
        number = taker.small(1)[0]
        if number >= len(cases):
            raise MalformedMessageError(f"Case {number} came of a type that has {len(cases)}.")
        tag, codec = cases[number]
        return tag, codec.read(taker)

    def write(out: bytearray, value: tuple[str, Any]) -> None:
        tag, content = value
        out.append(numbers[tag])
        cases[numbers[tag]][1].write(out, content)

    return Codec(read, write)


def vector_codec(item: Codec, length: int | None) -> Codec:
    """Values behind their number, which is left out where the schema tells it."""
    _require_fixed([] if length is None else [length])

    def read(taker: Taker) -> list[Any]:
        return [item.read(taker) for _ in range(read_number(taker) if length is None else length)]

    def write(out: bytearray, values: Sequence[Any] | None) -> None:
        if length is None:
            write_number(out, len(values or ()))
        for value in values or [None] * (length or 0):
            item.write(out, value)

    return Codec(read, write)


def _require_fixed(lengths: Sequence[int]) -> None:
    if any(not isinstance(length, int) or length < 1 for length in lengths) or math.prod(lengths) > LARGEST_FIXED:
        raise ValueError(f"lengths {lengths} were fixed; 1 to {LARGEST_FIXED} values can be")


def map_codec(key: Codec, value: Codec) -> Codec:
    """Keys with values, behind their number."""

    def read(taker: Taker) -> dict[Any, Any]:
        return {key.read(taker): value.read(taker) for _ in range(read_number(taker))}

    def write(out: bytearray, values: Mapping[Any, Any] | None) -> None:
        write_number(out, len(values or ()))
        for one, other in (values or {}).items():
            key.write(out, one)
            value.write(out, other)

    return Codec(read, write)


def record_codec(fields: Sequence[tuple[str, Codec]]) -> Codec:
    """Fields in their order."""
    if not fields:
        raise ValueError("a record has no fields")

    def read(taker: Taker) -> dict[str, Any]:
        return {name: codec.read(taker) for name, codec in fields}

    def write(out: bytearray, values: Mapping[str, Any] | None) -> None:
        for name, codec in fields:
            codec.write(out, (values or {}).get(name))

    return Codec(read, write)


def enumeration_codec(values: Mapping[str, int], base: str | None) -> Codec:
    """A number that stands for a symbol, or, with a base type, for flags."""
    if base is not None:
        if (codec := simple_codec(base)) is None:
            raise ValueError(f"{base} is no base of an enumeration")
        return codec
    symbols = {number: symbol for symbol, number in values.items()}

    def read(taker: Taker) -> str:
        number = _read_signed(taker)
        return symbols.get(number, str(number))

    return Codec(read, lambda out, value: _write_signed(out, values[value] if value is not None else 0))


def array_codec(item: Codec, dimensions: Value) -> Codec:
    """An array behind its shape, of which the schema may tell parts, or not even the number of its dimensions."""
    kind, lengths = item.item, _lengths(dimensions)

    def read(taker: Taker) -> Value:
        told = lengths if lengths is not None else [None] * _n_dimensions(taker)
        shape = tuple(read_number(taker) if length is None else length for length in told)
        taker.require_room(math.prod(max(n, 1) for n in shape))  # a 0 must not hide an impossible shape
        if kind is not None and item.is_raw:
            return np.frombuffer(taker.array(math.prod(shape) * kind.itemsize), kind).reshape(shape)
        values = [item.read(taker) for _ in range(math.prod(shape))]
        return values if kind is None else np.array(values, np.uint64 if kind.kind == "u" else np.int64).reshape(shape)

    def write(out: bytearray, values: Value) -> None:
        given = np.zeros([length or 0 for length in lengths or ()], kind) if values is None else np.asarray(values)
        if lengths is None:
            write_number(out, given.ndim)
        for length, came in zip(lengths or [None] * given.ndim, given.shape, strict=True):
            if length is None:
                write_number(out, came)
        if kind is not None and item.is_raw:
            out += np.ascontiguousarray(given, kind).tobytes()
            return
        for value in given.flat:
            item.write(out, value)

    return Codec(read, write)


def _lengths(dimensions: Value) -> list[int | None] | None:
    """The length of each dimension as far as the schema tells it; None where it does not tell how many there are."""
    if dimensions is None:
        return None
    n_dimensions = dimensions if isinstance(dimensions, int) else len(dimensions)
    if not 1 <= n_dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"an array has {n_dimensions} dimensions")
    lengths = [None] * n_dimensions if isinstance(dimensions, int) else [one.get("length") for one in dimensions]
    _require_fixed([length for length in lengths if length is not None])
    return lengths


def _n_dimensions(taker: Taker) -> int:
    n_dimensions = read_number(taker)
    if n_dimensions > MOST_DIMENSIONS:
        raise MalformedMessageError(f"An array of {n_dimensions} dimensions came; at most {MOST_DIMENSIONS} are taken.")
    return n_dimensions
