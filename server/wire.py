"""MRD (ISMRMRD) streams, version 1: messages from bytes and bytes from messages.

`framing.read_frame` cuts a message out of the stream, `decode` says what it means, `encode` writes one. All three are pure:
they know nothing of sockets. Texts are cut at their first NUL, which some clients send and others do not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knerve.server.framing import (
    CONFIG_FILE_BYTES,
    DEFAULT_LIMITS,
    PACKED_FLAG,
    Frame,
    Source,
    flag_is_set,
    read_frame,
)
from knerve.server.limits import Limits
from knerve.server.messages import (
    IMAGE_HEAD,
    PIXEL_TYPE_NUMBERS,
    PIXEL_TYPES,
    READOUT_HEAD,
    WAVEFORM_HEAD,
    Acquisition,
    Close,
    ConfigFile,
    ConfigText,
    DependencyQuery,
    DicomFile,
    Header,
    Image,
    Message,
    MessageId,
    NdArray,
    Query,
    Response,
    Text,
    Waveform,
)
from knerve.server.packed_samples import unpack_samples

_LENGTH, _LONG_LENGTH = struct.Struct("<I"), struct.Struct("<Q")


def read_messages(source: Source, limits: Limits = DEFAULT_LIMITS) -> Iterator[Message]:
    """The messages of a stream up to its CLOSE, or to its end.

    Raises:
        WireError: the stream cannot be read on.
        UnsupportedError: a readout is compressed in a way that knerve does not decode.
    """
    while (frame := read_frame(source, limits)) is not None:
        message = decode(frame)
        yield message
        if isinstance(message, Close):
            return


def decode(frame: Frame) -> Message:
    """What a message says; arrays are read-only views of its bytes where they can be.

    Raises:
        MalformedMessageError: its content contradicts itself.
    """
    return _DECODERS[frame.kind](memoryview(frame.content))


def encode(message: Message) -> Frame:
    """A message as it goes over the wire; sizes in heads are those of the arrays.

    Raises:
        ValueError: it does not fit into a message of its kind.
    """
    match message:
        case ConfigFile(name):
            return Frame(MessageId.CONFIG_FILE, _padded(name))
        case ConfigText(text):
            return Frame(MessageId.CONFIG_TEXT, _sized(text.encode()))
        case Header(xml):
            return Frame(MessageId.HEADER, _sized(xml))
        case Close():
            return Frame(MessageId.CLOSE, b"")
        case Text(text):
            return Frame(MessageId.TEXT, _sized(text.encode(errors="replace")))
        case Query(correlation_id, question):
            return Frame(MessageId.QUERY, struct.pack("<QQ", 0, correlation_id) + _long_sized(question.encode()))
        case Response(correlation_id, answer):
            return Frame(MessageId.RESPONSE, struct.pack("<Q", correlation_id) + _long_sized(answer.encode()))
        case Acquisition():
            return Frame(MessageId.ACQUISITION, _acquisition_bytes(message))
        case Image():
            return Frame(MessageId.IMAGE, _image_bytes(message))
        case Waveform():
            return Frame(MessageId.WAVEFORM, _waveform_bytes(message))
        case NdArray(values):
            return Frame(MessageId.NDARRAY, _array_bytes(values))
        case DicomFile(content, name, attributes):
            texts = _long_sized(name.encode()) + _long_sized(attributes.encode())
            return Frame(MessageId.DICOM_WITHNAME, _sized(content) + texts)
        case DependencyQuery(attributes):
            return Frame(MessageId.DEPENDENCY_QUERY, _long_sized(attributes.encode()))


def _padded(name: str) -> bytes:
    encoded = name.encode()
    if len(encoded) >= CONFIG_FILE_BYTES:
        raise ValueError(f"The name of a config takes {len(encoded)} bytes; at most {CONFIG_FILE_BYTES - 1} fit.")
    return encoded.ljust(CONFIG_FILE_BYTES, b"\0")


def _sized(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


def _long_sized(content: bytes) -> bytes:
    return _LONG_LENGTH.pack(len(content)) + content


def _acquisition_bytes(readout: Acquisition) -> bytes:
    head = readout.head.copy()
    n_coils, n_samples = readout.samples.shape
    if readout.trajectory.size and len(readout.trajectory) != n_samples:
        raise ValueError(f"A trajectory {readout.trajectory.shape} does not belong to {n_samples} samples.")
    head["number_of_samples"], head["active_channels"] = n_samples, n_coils
    head["trajectory_dimensions"] = readout.trajectory.shape[1] if readout.trajectory.size else 0
    head["flags"] &= ~np.uint64(1 << (PACKED_FLAG - 1))
    return head.tobytes() + readout.trajectory.astype("<f4").tobytes() + readout.samples.astype("<c8").tobytes()


def _image_bytes(image: Image) -> bytes:
    head, attributes = image.head.copy(), image.attributes.encode()
    pixels = np.ascontiguousarray(image.pixels)
    head["data_type"] = _type_number(pixels)
    head["channels"], head["matrix_size"] = pixels.shape[0], pixels.shape[:0:-1]
    head["attribute_string_len"] = len(attributes)
    return head.tobytes() + _long_sized(attributes) + pixels.tobytes()


def _waveform_bytes(waveform: Waveform) -> bytes:
    head = waveform.head.copy()
    head["channels"], head["number_of_samples"] = waveform.values.shape
    return head.tobytes() + waveform.values.astype("<u4").tobytes()


def _array_bytes(values: NDArray[Any]) -> bytes:
    shape = struct.pack(f"<HHH{values.ndim}Q", _type_number(values), 0, values.ndim, *values.shape)
    return shape + np.ascontiguousarray(values).tobytes()


def _type_number(values: NDArray[Any]) -> int:
    number = PIXEL_TYPE_NUMBERS.get(values.dtype)
    if number is None:
        known = ", ".join(str(known.name) for known in PIXEL_TYPES.values())
        raise ValueError(f"Values of type {values.dtype} have no place in MRD; convert them to one of {known}.")
    return number


def _text(content: memoryview) -> str:
    """Text up to its first NUL; what is not UTF-8 is shown as such."""
    return bytes(content).split(b"\0", 1)[0].decode("utf-8", errors="replace")


def _behind_length(content: memoryview) -> memoryview:
    return content[_LENGTH.size :]


def _behind_long_length(content: memoryview) -> memoryview:
    return content[_LONG_LENGTH.size :]


def _header(content: memoryview) -> Header:
    return Header(bytes(_behind_length(content)).split(b"\0", 1)[0])


def _query(content: memoryview) -> Query:
    return Query(_LONG_LENGTH.unpack_from(content, 8)[0], _text(content[24:]))


def _response(content: memoryview) -> Response:
    return Response(_LONG_LENGTH.unpack_from(content)[0], _text(content[16:]))


def _acquisition(content: memoryview) -> Acquisition:
    head = np.frombuffer(content, READOUT_HEAD, 1)[0]
    n_samples, n_coils, n_dimensions = (
        int(head[name]) for name in ("number_of_samples", "active_channels", "trajectory_dimensions")
    )
    start = READOUT_HEAD.itemsize
    end = start + 4 * n_samples * n_dimensions
    trajectory = np.frombuffer(content[start:end], "<f4").reshape(n_samples, n_dimensions)
    if flag_is_set(head, PACKED_FLAG):
        values = unpack_samples(bytes(_behind_length(content[end:])), 2 * n_samples * n_coils)
        samples = values.view(np.complex64)
    else:
        samples = np.frombuffer(content[end:], "<c8")
    return Acquisition(head, trajectory, samples.reshape(n_coils, n_samples))


def _image(content: memoryview) -> Image:
    head = np.frombuffer(content, IMAGE_HEAD, 1)[0]
    start = IMAGE_HEAD.itemsize + _LONG_LENGTH.size
    end = start + _LONG_LENGTH.unpack_from(content, IMAGE_HEAD.itemsize)[0]
    nx, ny, nz = map(int, head["matrix_size"])
    pixels = np.frombuffer(content[end:], PIXEL_TYPES[int(head["data_type"])])
    return Image(head, _text(content[start:end]), pixels.reshape(int(head["channels"]), nz, ny, nx))


def _waveform(content: memoryview) -> Waveform:
    head = np.frombuffer(content, WAVEFORM_HEAD, 1)[0]
    values = np.frombuffer(content[WAVEFORM_HEAD.itemsize :], "<u4")
    return Waveform(head, values.reshape(int(head["channels"]), int(head["number_of_samples"])))


def _ndarray(content: memoryview) -> NdArray:
    number, _, n_dimensions = struct.unpack_from("<HHH", content)
    shape = struct.unpack_from(f"<{n_dimensions}Q", content, 6)
    values = np.frombuffer(content[6 + 8 * n_dimensions :], PIXEL_TYPES[number])
    return NdArray(values.reshape(shape))


def _dicom(content: memoryview) -> DicomFile:
    end = _LENGTH.size + _LENGTH.unpack_from(content)[0]
    name_end = end + _LONG_LENGTH.size + _LONG_LENGTH.unpack_from(content, end)[0]
    name = _text(content[end + _LONG_LENGTH.size : name_end])
    return DicomFile(bytes(content[_LENGTH.size : end]), name, _text(_behind_long_length(content[name_end:])))


_DECODERS: dict[MessageId, Callable[[memoryview], Message]] = {
    MessageId.CONFIG_FILE: lambda content: ConfigFile(_text(content)),
    MessageId.CONFIG_TEXT: lambda content: ConfigText(_text(_behind_length(content))),
    MessageId.HEADER: _header,
    MessageId.CLOSE: lambda _: Close(),
    MessageId.TEXT: lambda content: Text(_text(_behind_length(content))),
    MessageId.QUERY: _query,
    MessageId.RESPONSE: _response,
    MessageId.ACQUISITION: _acquisition,
    MessageId.DICOM_WITHNAME: _dicom,
    MessageId.DEPENDENCY_QUERY: lambda content: DependencyQuery(_text(_behind_long_length(content))),
    MessageId.IMAGE: _image,
    MessageId.WAVEFORM: _waveform,
    MessageId.NDARRAY: _ndarray,
}
