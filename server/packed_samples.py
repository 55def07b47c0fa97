"""Readouts compressed with flag 54: samples as whole numbers of few bits.

    value = integer / scale

A block is the count of values (uint64), the scale (float32), the bits per integer (uint8), and the integers in two's
complement one behind the other, lowest bit first.
"""

from __future__ import annotations

import math
import struct

import numpy as np
from numpy.typing import NDArray

from knerve.server.errors import MalformedMessageError
from knerve.server.framing import LARGEST_PACKED_BITS

_HEAD = struct.Struct("<QfB")
_VALUES_AT_ONCE = 1 << 16  # unpacked bits take a byte each


def unpack_samples(block: bytes, n_values: int) -> NDArray[np.float32]:
    """The values of a block, (value,).

    Raises:
        MalformedMessageError: the block contradicts itself, or its readout, which has `n_values`.
    """
    if len(block) < _HEAD.size:
        raise MalformedMessageError(f"Packed samples of {len(block)} bytes; their head alone takes {_HEAD.size}.")
    count, scale, n_bits = _HEAD.unpack_from(block)
    if count != n_values:
        raise MalformedMessageError(f"{count} packed values came; the head of their readout says {n_values}.")
    if not 1 <= n_bits <= LARGEST_PACKED_BITS:
        raise MalformedMessageError(f"Packed values of {n_bits} bits; 1 to {LARGEST_PACKED_BITS} were expected.")
    if not (math.isfinite(scale) and scale > 0):
        raise MalformedMessageError(f"The scale of packed values is {scale}; a positive number was expected.")
    n_bytes = -(-n_bits * count // 8)
    if len(block) != _HEAD.size + n_bytes:
        raise MalformedMessageError(
            f"{count} values of {n_bits} bits came packed in {len(block) - _HEAD.size} bytes; they take {n_bytes}."
        )
    packed = np.frombuffer(block, np.uint8, offset=_HEAD.size)
    values = np.empty(count, np.float32)
    for first in range(0, count, _VALUES_AT_ONCE):
        n = min(_VALUES_AT_ONCE, count - first)
        start = first * n_bits // 8  # whole: _VALUES_AT_ONCE is a multiple of 8
        values[first : first + n] = _integers(packed[start : start - (-n * n_bits // 8)], n, n_bits) / np.float32(scale)
    return values


def _integers(packed: NDArray[np.uint8], n: int, n_bits: int) -> NDArray[np.int32]:
    bits = np.unpackbits(packed, count=n * n_bits, bitorder="little").reshape(n, n_bits)
    sign = np.repeat(bits[:, -1:], LARGEST_PACKED_BITS - n_bits, axis=1)
    return np.packbits(np.concatenate([bits, sign], axis=1), axis=1, bitorder="little").view("<i4")[:, 0]
