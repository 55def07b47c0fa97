"""The schema that stands at the beginning of each yardl stream (MRD version 2), and what it makes of the bytes behind it.

A stream tells its own types, so nothing here knows MRD, and releases of MRD that differ in a few fields are all read. A schema
comes from strangers: no type may hold itself, and there are not too many.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knerve.server.errors import MalformedMessageError
from knerve.server.yardl import (
    Codec,
    array_codec,
    enumeration_codec,
    map_codec,
    optional_codec,
    record_codec,
    simple_codec,
    union_codec,
    vector_codec,
)
from knerve.server.yardl_bytes import Taker, read_text

Described = Any  # a type as JSON describes it, right or wrong
MOST_TYPES = 5000
MAGIC = b"yardl" + struct.pack("<I", 1)


@dataclass
class Schema:
    """The types of a stream.

    Raises:
        MalformedMessageError: the text is no schema of the kind that MRD has.
    """

    text: str
    _types: dict[str, Any] = field(init=False)
    _made: dict[str, Codec] = field(init=False, default_factory=dict)
    _open: list[str] = field(init=False, default_factory=list)
    _n_made: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        try:
            document = json.loads(self.text)
            self._types = {described["name"]: described for described in document["types"]}
            steps = [step["type"] for step in document["protocol"]["sequence"]]
            self.head: Codec = self._codec(steps[0], {})
            self.item: Codec = self._codec(steps[1]["stream"]["items"], {})
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise MalformedMessageError(
                f"The schema of this stream cannot be read ({type(error).__name__}: {str(error)[:100]}); one of MRD version 2 "
                "was expected."
            ) from error

    def _codec(self, described: Described, arguments: Mapping[str, Codec]) -> Codec:
        self._n_made += 1
        if self._n_made > MOST_TYPES:
            raise ValueError("there are too many types")
        match described:
            case str():
                return arguments.get(described) or simple_codec(described) or self._named(described, ())
            case [None, other]:
                return optional_codec(self._codec(other, arguments))
            case [*cases]:
                return union_codec([(case["tag"], self._codec(case["type"], arguments)) for case in cases])
            case {"vector": {"items": items}}:
                return vector_codec(self._codec(items, arguments), described["vector"].get("length"))
            case {"array": {"items": items}}:
                return array_codec(self._codec(items, arguments), described["array"].get("dimensions"))
            case {"map": {"keys": keys, "values": values}}:
                return map_codec(self._codec(keys, arguments), self._codec(values, arguments))
            case {"name": name}:
                return self._named(name, [self._codec(one, arguments) for one in described.get("typeArguments", ())])
            case _:
                raise ValueError(f"type {str(described)[:40]} is unknown")

    def _named(self, name: str, arguments: Sequence[Codec]) -> Codec:
        plain = name.rpartition(".")[2]
        if not arguments and plain in self._made:
            return self._made[plain]
        if plain in self._open:
            raise ValueError(f"type {plain} holds itself")
        self._open.append(plain)
        described = self._types[plain]
        given = dict(zip(described.get("typeParameters", ()), arguments, strict=True))
        match described:
            case {"fields": fields}:
                codec = record_codec([(one["name"], self._codec(one["type"], given)) for one in fields])
            case {"values": values}:
                codec = enumeration_codec({one["symbol"]: one["value"] for one in values}, described.get("base"))
            case _:
                codec = self._codec(described["type"], given)
        self._open.pop()
        if not arguments:
            self._made[plain] = codec
        return codec


def read_schema(taker: Taker) -> Schema:
    """The schema at the beginning of a stream.

    Raises:
        WireError: there is none.
    """
    if (came := taker.small(len(MAGIC))) != MAGIC:
        raise MalformedMessageError(f"A stream of MRD version 2 begins with {MAGIC!r}; {came!r} came.")
    return Schema(read_text(taker))
