"""The bytes under yardl's values (MRD version 2): taken within limits, numbers of variable length, and text."""

from __future__ import annotations

from knerve.server.errors import MalformedMessageError, StreamEndedError, TooLargeError
from knerve.server.framing import Source
from knerve.server.limits import Limits

LONGEST_NUMBER_BYTES = 10  # 64 bits, seven at a time


class Taker:
    """Bytes of a stream, of which one value may take only so many.

    Attributes:
        taken: what was taken since `begin`, where that is wanted.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source, self._limits = source, limits
        self.taken: bytearray | None = None
        self.begin()

    def begin(self, *, keep: bool = False) -> None:
        """A new value begins."""
        self._left = self._limits.header_bytes
        self.taken = bytearray() if keep else None

    def small(self, n_bytes: int) -> bytes:
        """The next bytes of what becomes a Python object, many times its size."""
        self._left -= n_bytes
        if self._left < 0:
            raise TooLargeError(f"A value takes more than {self._limits.header_bytes} bytes beside its arrays.")
        return self._take(n_bytes)

    def array(self, n_bytes: int) -> bytes:
        """The next bytes of an array."""
        self.require_room(n_bytes)
        return self._take(n_bytes)

    def require_room(self, n_bytes: int) -> None:
        """Refuse an array that is too large."""
        if n_bytes > self._limits.image_bytes:
            raise TooLargeError(
                f"An array of {n_bytes} bytes is announced; at most {self._limits.image_bytes} are taken."
            )

    def _take(self, n_bytes: int) -> bytes:
        part = self._source.read(n_bytes)
        if len(part) < n_bytes:
            raise StreamEndedError(f"The stream ends within a value: {len(part)} of {n_bytes} bytes came.")
        if self.taken is not None:
            self.taken += part
        return part


def read_number(taker: Taker) -> int:
    """An unsigned number, seven bits a byte, the lowest first."""
    number = 0
    for place in range(LONGEST_NUMBER_BYTES):
        byte = taker.small(1)[0]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80 and number < 1 << 64:
            return number
    raise MalformedMessageError("A number takes more than 64 bits.")


def write_number(out: bytearray, number: int) -> None:
    """`read_number` turned round."""
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def read_text(taker: Taker) -> str:
    """A text behind its length."""
    return taker.small(read_number(taker)).decode("utf-8", errors="replace")


def write_text(out: bytearray, text: str) -> None:
    """`read_text` turned round."""
    content = text.encode()
    write_number(out, len(content))
    out += content
