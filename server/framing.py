"""Where one message of an MRD stream ends and the next begins: its bytes, cut out without looking at more than sizes.

The protocol has no frame lengths: the length of a message stands in its own head, and whoever loses it cannot find the next
message. So every size is checked against the limits before memory is taken, and what cannot be measured ends the stream.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from knerve.recon.errors import UnsupportedError
from knerve.server.errors import MalformedMessageError, StreamEndedError, TooLargeError, UnknownMessageError
from knerve.server.limits import Limits
from knerve.server.messages import IMAGE_HEAD, PIXEL_TYPES, READOUT_HEAD, WAVEFORM_HEAD, MessageId

CONFIG_FILE_BYTES = 1024
PACKED_FLAG = 54  # samples as integers of few bits
REFUSED_COMPRESSIONS = {53: "ZFP", 55: "an unnamed third kind", 56: "an unnamed fourth kind"}
PACKED_HEAD_BYTES = 13
LARGEST_PACKED_BITS = 32
NOT_FOR_US = {
    8: "ERROR, reserved and of unknown length",
    1023: "RECONDATA, internal to Gadgetron",
    1024: "IMAGE_ARRAY, internal to Gadgetron",
    1027: "PMC_PAYLOAD, a motion correction of pulserver",
    1050: "BUCKET, internal to Gadgetron",
    1051: "BUNDLE, internal to Gadgetron",
}


class Source(Protocol):
    """Bytes in order: a binary file, a pipe, a socket."""

    def read(self, n_bytes: int, /) -> bytes:
        """The next bytes, exactly so many; fewer only where the stream ends."""


@dataclass(frozen=True)
class Frame:
    """One message as bytes: its id, and what follows the id."""

    kind: MessageId
    content: bytes

    @property
    def raw(self) -> bytes:
        """The whole message as it stands on the wire."""
        return struct.pack("<H", self.kind) + self.content


DEFAULT_LIMITS = Limits()


def read_frame(source: Source, limits: Limits = DEFAULT_LIMITS) -> Frame | None:
    """Cut the next message out of a stream; None where the stream ends before one.

    Raises:
        WireError: the stream ends within the message, or the message is unknown, too large or contradicts itself.
        UnsupportedError: a readout is compressed in a way that knerve does not decode.
    """
    start = source.read(2)
    if not start:
        return None
    if len(start) < 2:
        raise StreamEndedError("The stream ends within a message id: 1 of 2 bytes came.")
    kind = message_id(struct.unpack("<H", start)[0])
    content = _Content(source, kind)
    _MEASURES[kind](content, limits)
    return Frame(kind, b"".join(content.parts))


def frame_of(raw: bytes) -> Frame:
    """The frame of a message whose bytes are complete, `Frame.raw` turned round."""
    return Frame(message_id(struct.unpack_from("<H", raw)[0]), raw[2:])


def message_id(number: int) -> MessageId:
    """The message that a number announces.

    Raises:
        UnknownMessageError: none that knerve can measure.
    """
    try:
        return MessageId(number)
    except ValueError:
        known = ", ".join(f"{kind.value} {kind.name}" for kind in MessageId)
        what = NOT_FOR_US.get(number, "unknown")
        raise UnknownMessageError(
            f"Message id {number} ({what}) cannot be read, and its length is not told: the stream is lost here. "
            f"Known ids: {known}. Send MRD version 1."
        ) from None


def flag_is_set(head: np.void, flag: int) -> bool:
    """Whether a readout bears this flag (numbered from 1)."""
    return bool(int(head["flags"]) >> (flag - 1) & 1)


class _Content:
    """What follows the id of one message, taken piece by piece."""

    def __init__(self, source: Source, kind: MessageId) -> None:
        self.parts: list[bytes] = []
        self.name = kind.name
        self._source = source

    def take(self, n_bytes: int, what: str) -> bytes:
        """The next bytes; never fewer."""
        part = self._source.read(n_bytes)
        if len(part) < n_bytes:
            raise StreamEndedError(
                f"The stream ends within the {what} of {self.name}: {len(part)} of {n_bytes} bytes came."
            )
        self.parts.append(part)
        return part

    def number(self, layout: str, what: str) -> int:
        """The next bytes as a whole number."""
        number: int = struct.unpack(layout, self.take(struct.calcsize(layout), what))[0]
        return number

    def sized(self, layout: str, limit: int, what: str) -> None:
        """A length, and so many bytes."""
        n_bytes = self.number(layout, f"length of the {what}")
        self.refuse_above(limit, n_bytes, f"bytes of {what}")
        self.take(n_bytes, what)

    def refuse_above(self, limit: int, came: int, what: str) -> None:
        """Refuse what is larger than its limit."""
        if came > limit:
            raise TooLargeError(
                f"{self.name} announces {came} {what}; at most {limit} are taken. "
                "Is this an MRD stream? If so, raise the server's limits."
            )


def _config_file(content: _Content, _: Limits) -> None:
    content.take(CONFIG_FILE_BYTES, "name")


def _text(content: _Content, limits: Limits) -> None:
    content.sized("<I", limits.text_bytes, "text")


def _header(content: _Content, limits: Limits) -> None:
    content.sized("<I", limits.header_bytes, "XML")


def _nothing(_: _Content, __: Limits) -> None:
    pass


def _query(content: _Content, limits: Limits) -> None:
    content.take(16, "ids")
    content.sized("<Q", limits.text_bytes, "question")


def _response(content: _Content, limits: Limits) -> None:
    content.take(8, "correlation id")
    content.sized("<Q", limits.text_bytes, "answer")


def _dependency_query(content: _Content, limits: Limits) -> None:
    content.sized("<Q", limits.text_bytes, "attributes")


def _dicom(content: _Content, limits: Limits) -> None:
    content.sized("<I", limits.image_bytes, "DICOM")
    content.sized("<Q", limits.text_bytes, "name")
    content.sized("<Q", limits.text_bytes, "attributes")


def _acquisition(content: _Content, limits: Limits) -> None:
    head = np.frombuffer(content.take(READOUT_HEAD.itemsize, "head"), READOUT_HEAD)[0]
    n_samples, n_coils, n_dimensions = (
        int(head[name]) for name in ("number_of_samples", "active_channels", "trajectory_dimensions")
    )
    for flag, name in REFUSED_COMPRESSIONS.items():
        if flag_is_set(head, flag):
            raise UnsupportedError(
                f"Readout {int(head['scan_counter'])} is compressed with {name} (flag {flag}), which knerve does not decode. "
                f"Send plain samples, or packed integers (flag {PACKED_FLAG})."
            )
    content.refuse_above(limits.channels, n_coils, "channels")
    content.refuse_above(limits.trajectory_dimensions, n_dimensions, "trajectory dimensions")
    n_bytes = 8 * n_samples * n_coils
    content.refuse_above(limits.readout_bytes, 4 * n_samples * n_dimensions + n_bytes, "bytes of samples")
    content.take(4 * n_samples * n_dimensions, "trajectory")
    if flag_is_set(head, PACKED_FLAG):
        content.sized("<I", PACKED_HEAD_BYTES + 2 * n_samples * n_coils * LARGEST_PACKED_BITS // 8, "packed samples")
    else:
        content.take(n_bytes, "samples")


def _image(content: _Content, limits: Limits) -> None:
    head = np.frombuffer(content.take(IMAGE_HEAD.itemsize, "head"), IMAGE_HEAD)[0]
    pixel_type = PIXEL_TYPES.get(int(head["data_type"]))
    if pixel_type is None:
        raise MalformedMessageError(
            f"IMAGE has data type {int(head['data_type'])}; types 1 (uint16) to 8 (complex128) are known. Correct its head."
        )
    n_bytes = math.prod(map(int, head["matrix_size"])) * int(head["channels"]) * pixel_type.itemsize
    content.refuse_above(limits.image_bytes, n_bytes, "bytes of pixels")
    content.sized("<Q", limits.text_bytes, "attributes")
    content.take(n_bytes, "pixels")


def _waveform(content: _Content, limits: Limits) -> None:
    head = np.frombuffer(content.take(WAVEFORM_HEAD.itemsize, "head"), WAVEFORM_HEAD)[0]
    n_bytes = 4 * int(head["channels"]) * int(head["number_of_samples"])
    content.refuse_above(limits.waveform_bytes, n_bytes, "bytes of samples")
    content.take(n_bytes, "samples")


def _ndarray(content: _Content, limits: Limits) -> None:
    number, _, n_dimensions = struct.unpack("<HHH", content.take(6, "head"))
    value_type = PIXEL_TYPES.get(number)
    if value_type is None:
        raise MalformedMessageError(
            f"NDARRAY has data type {number}; types 1 (uint16) to 8 (complex128) are known. Correct its head."
        )
    content.refuse_above(limits.array_dimensions, n_dimensions, "dimensions")
    shape = struct.unpack(f"<{n_dimensions}Q", content.take(8 * n_dimensions, "dimensions"))
    longest = math.prod(max(n, 1) for n in shape) * value_type.itemsize  # a 0 must not hide an impossible shape
    content.refuse_above(limits.image_bytes, longest, "bytes of values")
    content.take(math.prod(shape) * value_type.itemsize, "values")


_MEASURES: dict[MessageId, Callable[[_Content, Limits], None]] = {
    MessageId.CONFIG_FILE: _config_file,
    MessageId.CONFIG_TEXT: _text,
    MessageId.HEADER: _header,
    MessageId.CLOSE: _nothing,
    MessageId.TEXT: _text,
    MessageId.QUERY: _query,
    MessageId.RESPONSE: _response,
    MessageId.ACQUISITION: _acquisition,
    MessageId.DICOM_WITHNAME: _dicom,
    MessageId.DEPENDENCY_QUERY: _dependency_query,
    MessageId.IMAGE: _image,
    MessageId.WAVEFORM: _waveform,
    MessageId.NDARRAY: _ndarray,
}
