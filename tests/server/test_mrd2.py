"""MRD version 2 streams, made and read by `mrd-python`, answered with the images that a client of version 1 gets."""

from __future__ import annotations

import io
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from threading import Thread
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from knerve.datasets.mrd_header import parse_header
from knerve.recon.errors import KnerveError
from knerve.server.desk import Desk
from knerve.server.errors import MalformedMessageError, StreamEndedError, TooLargeError
from knerve.server.journal import JournalReader
from knerve.server.listener import Listener, serve_client
from knerve.server.messages import IMAGE_HEAD, Acquisition, Image, Message, Waveform
from knerve.server.mrd2 import Reader, Writer
from knerve.server.wire import decode
from knerve.server.yardl_bytes import write_text
from knerve.server.yardl_schema import MAGIC

mrd = pytest.importorskip("mrd", reason="mrd-python is not installed (pip install mrd-python)")


@pytest.fixture(scope="module")
def streams(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("mrd2_streams")


@pytest.fixture(scope="module")
def header(streams: ModuleType, scan: list[Message]) -> Any:
    header = streams.header_of(scan[1].xml)
    header.subject_information = mrd.SubjectInformationType(
        patient_name="Nobody", patient_birthdate=date(1970, 2, 28), patient_gender=mrd.PatientGender.O
    )
    header.study_information = mrd.StudyInformationType(
        study_date=date(2026, 11, 21), study_time=mrd.Time.from_components(12, 30, 15, 250_000_000), accession_number=7
    )
    header.measurement_information.patient_position = mrd.PatientPosition.F_FS
    header.acquisition_system_information.system_vendor = "A & B <C>\0"
    header.sequence_parameters = mrd.SequenceParametersType(t_r=[3000.0], t_e=[38.5, 77.0], flip_angle_deg=[180.0])
    return header


@pytest.fixture(scope="module")
def stream(streams: ModuleType, header: Any, scan: list[Message]) -> bytes:
    return streams.stream_of(header, [streams.item_of(message) for message in scan if isinstance(message, Acquisition)])


def _answer(desk: Desk, asked: bytes) -> bytes:
    ours, theirs = socket.socketpair()
    server = Thread(target=serve_client, args=(theirs, desk))
    server.start()
    with ours, ours.makefile("rb") as answer:
        ours.settimeout(20)
        Thread(target=_say, args=(ours, asked)).start()
        said = answer.read()
    server.join()
    return said


def _say(client: socket.socket, asked: bytes) -> None:
    try:
        client.sendall(asked)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server has had enough


def test_a_client_of_version_2_gets_the_images_of_version_1(
    desk: Desk, ask, streams, header, scan, stream: bytes
) -> None:
    answer = ask(replace(scan[0], name="default"), *scan[1:])
    expected = [message for message in answer if isinstance(message, Image)]
    echoed, images = streams.images_of(_answer(desk, stream))
    assert echoed == header
    assert len(images) == len(expected) == 2
    for image, known in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image.data, known.pixels)
        np.testing.assert_array_equal(image.head.position, known.head["position"])
        np.testing.assert_array_equal(image.head.line_dir, known.head["phase_dir"])
        assert image.head.image_index == known.head["image_index"]
        assert image.head.image_type == mrd.ImageType.MAGNITUDE
        assert [value.value for value in image.meta["DataRole"]] == ["Image"]
    folder = desk.spool.sessions()[-1]
    journalled = [decode(frame) for frame in JournalReader(folder.journal)]
    kept = [message for message in journalled if isinstance(message, Acquisition)]
    sent = [message for message in scan if isinstance(message, Acquisition)]
    assert folder.read().state == "done"
    assert len(kept) == len(sent)
    for ours, theirs in zip(kept, sent, strict=True):
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        assert _without_channels(ours.head) == _without_channels(theirs.head)


def _without_channels(head: np.void) -> bytes:
    head = head.copy()
    head["available_channels"], head["channel_mask"] = 0, 0
    return head.tobytes()


def test_headers_say_the_same(scan: list[Message], stream: bytes) -> None:
    ours, known = parse_header(Reader(io.BytesIO(stream)).xml), parse_header(scan[1].xml)
    (encoding,), (expected,) = ours.encodings, known.encodings
    assert encoding.grid == expected.grid
    assert encoding.announced == expected.announced
    assert (encoding.centre_line, encoding.calibration_mode) == (expected.centre_line, "embedded")
    assert ours.relative_noise_bandwidth == known.relative_noise_bandwidth
    told = ours.scan_header
    assert (told.patient_name, told.patient_position) == ("Nobody", "FFS")
    assert (told.patient_birth_date, told.patient_sex, told.vendor) == ("1970-02-28", "O", "A & B <C>")
    assert (told.study_date, told.accession_number) == ("2026-11-21", "7")
    assert told.study_time.startswith("12:30:15")
    assert (told.te_ms, told.tr_ms) == ((38.5, 77.0), (3000.0,))
    assert told.resonance_frequency_hz == known.scan_header.resonance_frequency_hz


def test_waveforms_and_what_version_1_does_not_know(streams: ModuleType, scan: list[Message]) -> None:
    waveform = mrd.WaveformUint32(
        flags=3,
        waveform_id=2,
        time_stamp=9,
        sample_time_us=2500.0,
        data=np.array([[1, 2**32 - 1], [300, 0]], np.uint32),
    )
    array = mrd.StreamItem.ArrayComplexFloat(np.ones((2, 3), np.complex64))
    trajectory = Acquisition(
        scan[5].head, np.arange(2 * scan[5].samples.shape[1], dtype=np.float32).reshape(-1, 2), scan[5].samples
    )
    items = [mrd.StreamItem.WaveformUint32(waveform), array, streams.item_of(trajectory)]
    reader = Reader(io.BytesIO(streams.stream_of(None, items)))
    first, second = reader.messages()
    assert reader.xml is None
    assert isinstance(first, Waveform)
    assert (first.head["waveform_id"], first.head["time_stamp"], first.head["sample_time_us"]) == (2, 9, 2500)
    np.testing.assert_array_equal(first.values, waveform.data)
    np.testing.assert_array_equal(second.trajectory, trajectory.trajectory)
    assert reader.n_left_out == 1


@pytest.mark.parametrize("dtype", ["<u2", "<i2", "<u4", "<i4", "<f4", "<f8", "<c8", "<c16"])
def test_images_of_every_type_are_written(streams: ModuleType, stream: bytes, dtype: str) -> None:
    head = np.zeros(1, IMAGE_HEAD)[0]
    head["image_type"], head["slice"], head["read_dir"] = 5, 3, (0, 1, 0)
    pixels = np.arange(12).reshape(1, 1, 3, 4).astype(dtype)
    attributes = "<ismrmrdMeta><meta><name>A</name><value>1</value><value>b</value></meta></ismrmrdMeta>"
    reader = Reader(io.BytesIO(stream))
    writer = Writer(reader)
    (image,) = streams.images_of(writer.start() + writer.item(Image(head, attributes, pixels)) + writer.end())[1]
    assert image.data.dtype == pixels.dtype
    np.testing.assert_array_equal(image.data, pixels)
    assert (image.head.slice, image.head.image_type) == (3, mrd.ImageType.COMPLEX)
    np.testing.assert_array_equal(image.head.col_dir, [0, 1, 0])
    assert [value.value for value in image.meta["A"]] == ["1", "b"]


def _changed(stream: bytes, change) -> bytes:
    """The stream with another schema."""
    text = Reader(io.BytesIO(stream)).schema.text
    out = bytearray(MAGIC)
    write_text(out, change(text))
    behind = bytearray(MAGIC)
    write_text(behind, text)
    return bytes(out) + stream[len(behind) :]


def test_a_release_with_other_units_is_read(scan: list[Message], stream: bytes) -> None:
    def as_release_2_2(text: str) -> str:  # numbers as they are, taken for nanoseconds; floats as floats
        text = re.sub(r'"tag":"(\w)(\w+)","type":"Mrd', lambda m: f'"tag":"{m[1].lower()}{m[2]}","type":"Mrd', text)
        return text.replace('"acquisitionTimeStamp"', '"acquisitionTimeStampNs"').replace(
            '"physiologyTimeStamp"', '"physiologyTimeStampNs"'
        )

    changed = _changed(stream, as_release_2_2)
    readouts = [message for message in Reader(io.BytesIO(changed)).messages() if isinstance(message, Acquisition)]
    sent = [message for message in scan if isinstance(message, Acquisition)]
    stamps = [int(message.head["acquisition_time_stamp"]) for message in sent]
    assert [int(readout.head["acquisition_time_stamp"]) for readout in readouts] == [n // 2_500_000 for n in stamps]
    np.testing.assert_array_equal(readouts[-1].samples, sent[-1].samples)
    writer = Writer(Reader(io.BytesIO(changed)))
    assert writer.item(Image(np.zeros(1, IMAGE_HEAD)[0], "", np.zeros((1, 1, 2, 2), np.float32)))


def test_a_stream_that_breaks_off_is_kept(desk: Desk, streams: ModuleType, header: Any, stream: bytes) -> None:
    echoed, images = streams.images_of(_answer(desk, stream[:-1000]))
    assert echoed == header
    assert images == []
    (folder,) = desk.spool.sessions()
    assert folder.read().state == "incomplete"
    assert folder.read().n_readouts > 40


def test_streams_cut_or_damaged_anywhere_do_no_harm(desk: Desk, stream: bytes) -> None:
    rng = np.random.default_rng(5)
    start = len(stream) - len(Reader(io.BytesIO(stream)).head) - 40 * 1500
    for _ in range(150):
        damaged = bytearray(stream[: rng.integers(1, len(stream))])
        for _ in range(rng.integers(0, 4)):
            damaged[rng.integers(0, len(damaged)) if rng.random() < 0.5 else min(start, len(damaged) - 1)] = (
                rng.integers(256)
            )
        try:
            for _message in Reader(io.BytesIO(damaged)).messages():
                pass
        except KnerveError:
            continue
    assert _answer(desk, b"yard") != b""  # too short for version 2: told as version 1
    assert _answer(desk, b"yardl") == b""
    assert _answer(desk, stream[:20]) == b""


def _described(head: object, **types: object) -> str:
    named = [{"name": name, **described} for name, described in types.items()]
    sequence = [{"name": "header", "type": head}, {"name": "data", "type": {"stream": {"items": "uint8"}}}]
    return json.dumps({"protocol": {"name": "Mrd", "sequence": sequence}, "types": named})


HOSTILE = {
    "no JSON": "{",
    "no schema": "[]",
    "deep": "[" * 100_000,
    "itself": _described("M.A", A={"fields": [{"name": "a", "type": "M.A"}]}),
    "nothing": _described("M.A", A={"fields": []}),
    "unknown": _described("M.B", A={"fields": []}),
    "huge": _described({"array": {"items": "uint8", "dimensions": [{"length": 10**18}]}}),
    "many": _described({"array": {"items": "uint8", "dimensions": 10**12}}),
    "empty": _described({"vector": {"items": "uint8", "length": 0}}),
    "half": _described({"vector": {"items": "uint8", "length": 0.5}}),
    "bomb": _described(
        "M.T0",
        T40={"type": "uint8"},
        **{
            f"T{n}": {
                "typeParameters": ["T"],
                "fields": [{"name": f, "type": {"name": f"M.T{n + 1}", "typeArguments": ["T"]}} for f in "ab"],
            }
            for n in range(40)
        },
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_schemas_are_refused(name: str) -> None:
    out = bytearray(MAGIC)
    write_text(out, HOSTILE[name])
    with pytest.raises(MalformedMessageError, match=r"The schema of this stream cannot be read \("):
        Reader(io.BytesIO(bytes(out) + bytes(100)))


def _reader_of(item: object, content: bytes) -> Reader:
    text = json.loads(_described([None, "uint8"]))
    text["protocol"]["sequence"][1]["type"]["stream"]["items"] = item
    out = bytearray(MAGIC)
    write_text(out, json.dumps(text))
    return Reader(io.BytesIO(bytes(out) + b"\0" + content))


CASES = [  # the type of an item's only case, its bytes
    ("string", b"\xff" * 9 + b"\1", TooLargeError, "more than 4194304 bytes beside its arrays"),
    ("string", b"\xff" * 11, MalformedMessageError, "more than 64 bits"),
    ({"vector": {"items": "uint8"}}, b"\xff" * 9 + b"\1" + bytes(50), StreamEndedError, "0 of 1 bytes"),
    ({"array": {"items": "float64", "dimensions": 2}}, b"\x80\x80\x80\x80\1" * 2, TooLargeError, "array of"),
    ({"array": {"items": "float64", "dimensions": 2}}, b"\0" + b"\xff" * 8 + b"\1", TooLargeError, "array of"),
    ([{"tag": "a", "type": "uint8"}], b"\7", MalformedMessageError, "Case 7 came of a type that has 1"),
    ("date", b"\xff" * 9 + b"\1", MalformedMessageError, "is no date"),
]


@pytest.mark.parametrize(("item", "content", "error", "words"), CASES)
def test_values_that_cannot_be_are_refused(item: object, content: bytes, error: type[KnerveError], words: str) -> None:
    with pytest.raises(error, match=words):
        list(_reader_of([{"tag": "x", "type": item}], b"\1\0" + content).messages())


def test_numbers_that_version_1_cannot_hold_are_refused(streams: ModuleType, scan: list[Message]) -> None:
    item = streams.item_of(next(message for message in scan if isinstance(message, Acquisition)))
    item.value.head.idx.slice = 70_000
    with pytest.raises(MalformedMessageError, match="slice is 70000 to 70000; version 1 holds 0 to 65535"):
        list(Reader(io.BytesIO(streams.stream_of(None, [item]))).messages())


@pytest.fixture
def port(desk: Desk) -> Iterator[int]:
    with closing(Listener(desk, port=0)) as listener:
        Thread(target=listener.serve, daemon=True).start()
        yield listener.port


def test_both_versions_share_a_port(port: int, streams: ModuleType, stream: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as client, client.makefile("rb") as answer:
        client.sendall(stream)  # and the connection stays open
        assert len(streams.images_of(answer.read())[1]) == 2
    with socket.create_connection(("127.0.0.1", port), 10) as client, client.makefile("rb") as answer:
        client.sendall(b"\4\0")
        assert answer.read().endswith(b"\4\0")
