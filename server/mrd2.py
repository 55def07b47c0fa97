"""MRD version 2 streams (https://ismrmrd.github.io/mrd): their items as messages of version 1, and images as their items.

A stream is a schema, a header or none, and items up to an empty block. It has no config, no words and no CLOSE. What is sent
back bears the client's own schema, so that it can read it whichever release it is of: 2.1 tells times as numbers of a clock and
microseconds, 2.2 in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from defusedxml.ElementTree import fromstring

from knerve.server.errors import MalformedMessageError
from knerve.server.framing import DEFAULT_LIMITS, Source
from knerve.server.limits import Limits
from knerve.server.messages import READOUT_HEAD, WAVEFORM_HEAD, Acquisition, Image, Message, Waveform
from knerve.server.mrd2_header import xml_of
from knerve.server.yardl import Value
from knerve.server.yardl_bytes import Taker, read_number, write_number, write_text
from knerve.server.yardl_schema import MAGIC, read_schema

NS_PER_STAMP = 2_500_000  # of the usual scanner clock, which version 1 counts in
COMPRESSION = 0xF << 52  # flags of version 1 that say how samples are packed; here they never are
PLAIN = (  # fields of a readout that are the same in both, those of `idx` included
    *("flags", "discardPre", "discardPost", "centerSample", "encodingSpaceRef", "measurementUid", "scanCounter"),
    *("position", "readDir", "phaseDir", "sliceDir", "patientTablePosition"),
)
COUNTERS = {
    "kspaceEncodeStep1": "kspace_encode_step_1",
    "kspaceEncodeStep2": "kspace_encode_step_2",
    **{name: name for name in ("average", "slice", "contrast", "phase", "repetition", "set", "segment", "user")},
}
IMAGE_TAGS = {
    **{"<u2": "imageUint16", "<i2": "imageInt16", "<u4": "imageUint32", "<i4": "imageInt32"},
    **{"<f4": "imageFloat", "<f8": "imageDouble", "<c8": "imageComplexFloat", "<c16": "imageComplexDouble"},
}
IMAGE_TYPES = {1: "magnitude", 2: "phase", 3: "real", 4: "imag", 5: "complex"}
DIRECTIONS = {"colDir": "read_dir", "lineDir": "phase_dir"}


class Reader:
    """The stream of a client.

    Attributes:
        schema: of the stream.
        head: its header as it came, presence included.
        xml: its header as version 1 has it; None where there is none.
        n_left_out: items that have no place in version 1.
    """

    def __init__(self, source: Source, limits: Limits = DEFAULT_LIMITS) -> None:
        """Read up to the first item.

        Raises:
            WireError: the stream cannot be read on.
        """
        self._taker = Taker(source, limits)
        self.schema = read_schema(self._taker)
        self._taker.begin(keep=True)
        header = self.schema.head.read(self._taker)
        self.head = bytes(self._taker.taken or b"")
        self.xml = xml_of(header) if isinstance(header, Mapping) else None
        self.n_left_out = 0

    def messages(self) -> Iterator[Message]:
        """Readouts and waveforms, up to the empty block.

        Raises:
            WireError: the stream cannot be read on.
        """
        while True:
            self._taker.begin()
            n_items = read_number(self._taker)
            if not n_items:
                return
            for _ in range(n_items):
                self._taker.begin()
                tag, value = self.schema.item.read(self._taker)
                message = _message(tag, value)
                self.n_left_out += message is None
                if message is not None:
                    yield message


class Writer:
    """A stream for a client whose own stream is being read.

    Raises:
        ValueError: the client's schema has no place for an image.
    """

    def __init__(self, reader: Reader) -> None:
        self._schema, self._head = reader.schema, reader.head

    def start(self) -> bytes:
        """Schema and header, those of the client."""
        out = bytearray(MAGIC)
        write_text(out, self._schema.text)
        return bytes(out) + self._head

    def item(self, image: Image) -> bytes:
        """An image as a block of its own."""
        out = bytearray()
        write_number(out, 1)
        tag, value = _image_item(image)
        try:
            self._schema.item.write(out, (tag, value))
        except KeyError:  # release 2.1
            self._schema.item.write(out, (tag[0].upper() + tag[1:], value))
        return bytes(out)

    def end(self) -> bytes:
        """The empty block."""
        return b"\0"


def _message(tag: str, value: Value) -> Message | None:
    try:
        match tag[0].lower() + tag[1:]:
            case "acquisition":
                return _readout(value)
            case "waveformUint32":
                return _waveform(value)
            case _:
                return None
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MalformedMessageError(
            f"An item {tag} has no place among the messages of version 1: {type(error).__name__}, {str(error)[:100]}."
        ) from error


def _readout(item: Mapping[str, Any]) -> Acquisition:
    fields, samples = item["head"], np.asarray(item["data"], np.complex64)
    head = np.zeros(1, READOUT_HEAD)[0]
    head["version"] = 1
    for name in PLAIN:
        if fields[name] is not None:
            _put(head, _snake_case(name), fields[name])
    for name, counter in COUNTERS.items():
        if fields["idx"][name] is not None:
            _put(head["idx"], counter, fields["idx"][name])
    for name in ("userInt", "userFloat"):
        _put(head, _snake_case(name), fields[name])
    head["flags"] &= np.uint64(~COMPRESSION & (1 << 64) - 1)
    n_coils, n_samples = samples.shape
    if fields["centerSample"] is None:
        head["center_sample"] = n_samples // 2
    head["sample_time_us"] = _in(fields, "sampleTimeUs", "sampleTimeNs", 1000)
    _put(
        head, "acquisition_time_stamp", int(_in(fields, "acquisitionTimeStamp", "acquisitionTimeStampNs", NS_PER_STAMP))
    )
    stamps = _in(fields, "physiologyTimeStamp", "physiologyTimeStampNs", NS_PER_STAMP)
    _put(head, "physiology_time_stamp", np.asarray(stamps if np.ndim(stamps) else [], np.int64)[:3])
    for channel in fields["channelOrder"]:
        if channel < 1024:
            head["channel_mask"][channel // 64] |= np.uint64(1 << channel % 64)
    head["number_of_samples"], head["active_channels"] = n_samples, n_coils
    head["available_channels"] = n_coils
    trajectory = np.asarray(item["trajectory"], np.float32).T
    return Acquisition(head, trajectory if trajectory.size else np.zeros((n_samples, 0), np.float32), samples)


def _waveform(item: Mapping[str, Any]) -> Waveform:
    head = np.zeros(1, WAVEFORM_HEAD)[0]
    head["version"] = 1
    for name in ("flags", "measurementUid", "scanCounter", "waveformId"):
        _put(head, _snake_case(name), item[name])
    head["sample_time_us"] = _in(item, "sampleTimeUs", "sampleTimeNs", 1000)
    _put(head, "time_stamp", int(_in(item, "timeStamp", "timeStampNs", NS_PER_STAMP)))
    return Waveform(head, np.asarray(item["data"]).astype(np.uint32))


def _image_item(image: Image) -> tuple[str, dict[str, Any]]:
    head = image.head
    fields: dict[str, Any] = {
        name: head[DIRECTIONS.get(name, _snake_case(name))]
        for name in ("fieldOfView", "position", "colDir", "lineDir", "sliceDir", "patientTablePosition")
    }
    for name in ("flags", "measurementUid", "average", "slice", "contrast", "phase", "repetition", "set"):
        fields[name] = int(head[_snake_case(name)])
    fields["imageIndex"], fields["imageSeriesIndex"] = int(head["image_index"]), int(head["image_series_index"])
    fields["imageType"] = IMAGE_TYPES.get(int(head["image_type"]), "magnitude")
    stamp, physiology = int(head["acquisition_time_stamp"]), head["physiology_time_stamp"].tolist()
    fields |= {"acquisitionTimeStamp": stamp, "acquisitionTimeStampNs": stamp * NS_PER_STAMP}
    fields |= {
        "physiologyTimeStamp": physiology,
        "physiologyTimeStampNs": [tick * NS_PER_STAMP for tick in physiology],
    }
    fields |= {"userInt": head["user_int"].tolist(), "userFloat": head["user_float"].tolist()}
    tag = IMAGE_TAGS[image.pixels.dtype.newbyteorder("<").str]
    return tag, {"head": fields, "data": image.pixels, "meta": _meta(image.attributes)}


def _meta(attributes: str) -> dict[str, list[tuple[str, str]]]:
    """The attributes of an image, each with its values."""
    if not attributes:
        return {}
    return {
        meta.findtext("name", ""): [("string", value.text or "") for value in meta.iter("value")]
        for meta in fromstring(attributes, forbid_dtd=True).iter("meta")
    }


def _in(fields: Mapping[str, Any], name: str, name_ns: str, ns_per_unit: int) -> Value:
    """A time in units of version 1; 0 where it is not told."""
    if name in fields:
        return fields[name] if fields[name] is not None else 0
    told = fields[name_ns]
    if isinstance(told, list):
        return [one // ns_per_unit for one in told]
    return (told or 0) / ns_per_unit


def _put(record: np.void, name: str, value: Value) -> None:
    """Set a field, as far as it reaches; numbers that it cannot hold are refused."""
    kind = record.dtype.fields[name][0] if record.dtype.fields else np.dtype(np.int64)
    values = np.asarray(value)
    room = np.iinfo(kind.base) if kind.base.kind in "iu" else None
    if room is not None and values.size and (int(values.min()) < room.min or int(values.max()) > room.max):
        raise MalformedMessageError(
            f"{name} is {values.min()} to {values.max()}; version 1 holds {room.min} to {room.max}."
        )
    if kind.shape:
        n = min(kind.shape[0], values.size)
        record[name][:n] = values.reshape(-1)[:n]
    else:
        record[name] = values


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
