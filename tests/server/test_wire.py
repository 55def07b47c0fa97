"""MRD messages: what is written is read again, by us and by the ismrmrd package; what is too large or broken is refused."""

from __future__ import annotations

import io
import struct

import ismrmrd
import numpy as np
import pytest
from ismrmrd.serialization import ConfigFile as ForeignConfigFile
from ismrmrd.serialization import ConfigText as ForeignConfigText
from ismrmrd.serialization import ProtocolDeserializer, ProtocolSerializer

from knerve.recon.errors import UnsupportedError
from knerve.server.errors import (
    MalformedMessageError,
    StreamEndedError,
    TooLargeError,
    UnknownMessageError,
    WireError,
)
from knerve.server.framing import Frame, frame_of, read_frame
from knerve.server.limits import Limits
from knerve.server.messages import (
    IMAGE_HEAD,
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
from knerve.server.wire import decode, encode, read_messages

RNG = np.random.default_rng(5)
META = "<ismrmrdMeta><meta><name>EchoTime</name><value>30</value></meta></ismrmrdMeta>"
XML = b'<?xml version="1.0"?><ismrmrdHeader/>'


def _complex(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(np.complex64)


def _readout(n_coils: int = 3, n_samples: int = 5, n_dimensions: int = 2) -> Acquisition:
    head = np.zeros(1, READOUT_HEAD)[0]
    head["version"], head["scan_counter"], head["idx"]["kspace_encode_step_1"] = 1, 7, 11
    head["flags"], head["position"] = 1 << 63, (1.5, -2, 3)
    return Acquisition(head, RNG.standard_normal((n_samples, n_dimensions)).astype("f4"), _complex(n_coils, n_samples))


def _image(pixel_type: str = "<f4") -> Image:
    head = np.zeros(1, IMAGE_HEAD)[0]
    head["version"], head["image_type"], head["image_index"] = 1, 1, 3
    return Image(head, META, (100 * RNG.random((2, 1, 3, 4))).astype(pixel_type))


def _waveform() -> Waveform:
    head = np.zeros(1, WAVEFORM_HEAD)[0]
    head["waveform_id"] = 2
    return Waveform(head, np.arange(10, dtype=np.uint32).reshape(2, 5))


MESSAGES: list[Message] = [
    ConfigFile("cs"),
    ConfigText('{"parameters": {}}'),
    Header(XML),
    Close(),
    Text("INFO     käse"),
    Query(1 << 40, "ismrmrd::version"),
    Response(1 << 40, "1.15"),
    _readout(),
    _readout(n_dimensions=0),
    _readout(0, 0, 0),
    *(_image(pixel_type) for pixel_type in ("<u2", "<i2", "<u4", "<i4", "<f4", "<f8", "<c8", "<c16")),
    _waveform(),
    NdArray(_complex(2, 3, 4)),
    NdArray(np.zeros((0, 3), np.uint16)),
    DicomFile(b"DICM", "1.dcm", "<ismrmrdMeta/>"),
    DependencyQuery("<ismrmrdMeta/>"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_comes_back(message: Message) -> None:
    frame = encode(message)
    read = read_frame(io.BytesIO(frame.raw + b"next"))
    assert read == frame == frame_of(frame.raw)
    again = decode(read)
    assert type(again) is type(message)
    assert encode(again) == frame
    for name, value in vars(message).items():
        if isinstance(value, np.ndarray):
            assert getattr(again, name).dtype == value.dtype
            np.testing.assert_array_equal(getattr(again, name), value)
        elif not isinstance(value, np.void):
            assert getattr(again, name) == value


def test_every_id_is_tried() -> None:
    assert {encode(message).kind for message in MESSAGES} == set(MessageId)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_stream_cut_anywhere_is_said_to_end(message: Message) -> None:
    raw = encode(message).raw
    assert read_frame(io.BytesIO(b"")) is None
    for length in range(1, len(raw)):
        with pytest.raises(StreamEndedError, match=r"The stream ends within .* \d+ of \d+ bytes came"):
            read_frame(io.BytesIO(raw[:length]))


def test_head_sizes_are_those_of_the_wire() -> None:
    assert (READOUT_HEAD.itemsize, IMAGE_HEAD.itemsize, WAVEFORM_HEAD.itemsize) == (340, 198, 40)
    raw = encode(_readout(3, 5, 2)).raw
    assert struct.unpack_from("<H", raw, 2 + 34)[0] == 5
    assert struct.unpack_from("<H", raw, 2 + 38)[0] == 3
    assert struct.unpack_from("<H", raw, 2 + 242)[0] == 11
    image = encode(_image()).raw
    assert struct.unpack_from("<3H", image, 2 + 16) == (4, 3, 1)
    assert struct.unpack_from("<IQ", image, 2 + 194) == (len(META), len(META))


def test_texts_end_at_their_first_nul() -> None:
    for number, kind in ((2, ConfigText), (5, Text)):
        read = decode(Frame(MessageId(number), struct.pack("<I", 6) + b"abc\0de"))
        assert read == kind("abc")
    assert decode(Frame(MessageId.HEADER, struct.pack("<I", len(XML) + 1) + XML + b"\0")) == Header(XML)
    assert decode(Frame(MessageId.TEXT, struct.pack("<I", 2) + b"\xff\xfe")) == Text("\ufffd\ufffd")


@pytest.mark.parametrize("number", [0, 8, 1001, 1023, 1027, 1050, 4097, 65535])
def test_unknown_ids_lose_the_stream(number: int) -> None:
    with pytest.raises(
        UnknownMessageError, match=rf"Message id {number} \(.*the stream is lost here.*1008 ACQUISITION"
    ):
        read_frame(io.BytesIO(struct.pack("<H", number) + bytes(100)))


def _patched(message: Message, offset: int, layout: str, *values: int) -> io.BytesIO:
    raw = bytearray(encode(message).raw)
    struct.pack_into(layout, raw, offset + 2, *values)
    return io.BytesIO(bytes(raw) + bytes(400))


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (_patched(Text("a"), 0, "<I", 2**32 - 1), "TEXT announces 4294967295 bytes of text; at most 1048576"),
        (_patched(Header(XML), 0, "<I", 5 << 20), "HEADER announces 5242880 bytes of XML"),
        (_patched(Query(1, "a"), 16, "<Q", 2**64 - 1), "QUERY announces 18446744073709551615 bytes of question"),
        (_patched(_readout(), 38, "<H", 65535), "ACQUISITION announces 65535 channels; at most 1024"),
        (_patched(_readout(), 176, "<H", 5), "5 trajectory dimensions; at most 4"),
        (_patched(_readout(1024, 1, 0), 34, "<H", 65535), "536862720 bytes of samples; at most 67108864"),
        (_patched(_image(), 16, "<3H", 65535, 65535, 65535), "bytes of pixels; at most 268435456"),
        (_patched(_image(), 198, "<Q", 2**63), "9223372036854775808 bytes of attributes"),
        (_patched(_waveform(), 28, "<HH", 65535, 65535), "17179344900 bytes of samples"),
        (_patched(NdArray(_complex(1)), 4, "<H", 17), "NDARRAY announces 17 dimensions"),
        (_patched(NdArray(_complex(1, 1)), 6, "<QQ", 0, 2**63), "bytes of values"),
        (_patched(DicomFile(b"D", "", ""), 0, "<I", 2**31), "DICOM_WITHNAME announces 2147483648 bytes of DICOM"),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_read(stream: io.BytesIO, words: str) -> None:
    class Counted(io.BytesIO):
        largest = 0

        def read(self, n: int | None = -1, /) -> bytes:
            self.largest = max(self.largest, n or 0)
            return super().read(n)

    source = Counted(stream.getvalue())
    with pytest.raises(TooLargeError, match=words):
        read_frame(source)
    assert source.largest <= 512


@pytest.mark.parametrize("message", [_image(), NdArray(_complex(2))])
def test_unknown_pixel_types_are_refused(message: Message) -> None:
    offset = 2 if isinstance(message, Image) else 0
    with pytest.raises(MalformedMessageError, match="data type 9; types 1 "):
        read_frame(_patched(message, offset, "<H", 9))


@pytest.mark.parametrize(("flag", "name"), [(53, "ZFP"), (55, "third"), (56, "fourth")])
def test_other_compressions_are_refused_by_name(flag: int, name: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"Readout 7 is compressed with .*{name}.*flag {flag}.*plain samples"):
        read_frame(_patched(_readout(), 2, "<Q", 1 << (flag - 1)))


def _packed(values: np.ndarray, scale: float, n_bits: int) -> bytes:
    """Bit by bit, in one large whole number."""
    word = 0
    for place, value in enumerate(np.rint(values * scale).astype(int).tolist()):
        word |= (value & ((1 << n_bits) - 1)) << (place * n_bits)
    return struct.pack("<QfB", len(values), scale, n_bits) + word.to_bytes(-(-n_bits * len(values) // 8), "little")


@pytest.mark.parametrize("n_bits", [1, 2, 7, 12, 17, 31, 32])
def test_packed_samples_are_unpacked(n_bits: int) -> None:
    integers = RNG.integers(-(2 ** (n_bits - 1)), 2 ** (n_bits - 1), 777)
    unpacked = unpack_samples(_packed(integers / 4.0, 4.0, n_bits), 777)
    np.testing.assert_allclose(unpacked, integers / 4.0, rtol=1e-6)
    assert unpacked.min() < 0


def test_long_packed_samples_are_unpacked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.uniform(-0.4, 0.4, 100)
    whole = unpack_samples(_packed(values, 4096.0, 13), 100)
    monkeypatch.setattr("knerve.server.packed_samples._VALUES_AT_ONCE", 8)
    np.testing.assert_array_equal(unpack_samples(_packed(values, 4096.0, 13), 100), whole)


def test_a_packed_readout_is_read() -> None:
    readout = _readout(2, 8, 2)
    plain = encode(readout).content
    head = bytearray(plain[:340])
    struct.pack_into("<Q", head, 2, 1 << 53)
    block = _packed(readout.samples.view(np.float32).ravel(), 9184.6, 16)
    frame = Frame(MessageId.ACQUISITION, bytes(head) + plain[340:404] + struct.pack("<I", len(block)) + block)
    assert read_frame(io.BytesIO(frame.raw + b"rest")) == frame
    read = decode(frame)
    assert isinstance(read, Acquisition)
    np.testing.assert_array_equal(read.trajectory, readout.trajectory)
    np.testing.assert_allclose(read.samples, readout.samples, atol=1e-4)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (b"short", "Packed samples of 5 bytes; their head alone takes 13"),
        (struct.pack("<QfB", 9, 1.0, 8) + bytes(9), "9 packed values came; the head of their readout says 4"),
        (struct.pack("<QfB", 4, 1.0, 33) + bytes(17), "Packed values of 33 bits; 1 to 32"),
        (struct.pack("<QfB", 4, 0.0, 8) + bytes(4), "The scale of packed values is 0.0"),
        (struct.pack("<QfB", 4, float("nan"), 8) + bytes(4), "The scale of packed values is nan"),
        (struct.pack("<QfB", 4, 1.0, 8) + bytes(5), "4 values of 8 bits came packed in 5 bytes; they take 4"),
    ],
)
def test_broken_packed_samples_are_refused(block: bytes, words: str) -> None:
    with pytest.raises(MalformedMessageError, match=words):
        unpack_samples(block, 4)


def test_limits_can_be_lowered() -> None:
    with pytest.raises(TooLargeError, match="at most 3"):
        read_frame(io.BytesIO(encode(Text("four")).raw), Limits(text_bytes=3))


def test_what_does_not_fit_is_not_written() -> None:
    with pytest.raises(ValueError, match="takes 1024 bytes; at most 1023 fit"):
        encode(ConfigFile("a" * 1024))
    with pytest.raises(ValueError, match="type int64 have no place"):
        encode(NdArray(np.zeros(2, np.int64)))
    with pytest.raises(ValueError, match="does not belong to 5 samples"):
        encode(Acquisition(_readout().head, np.zeros((4, 2), np.float32), _complex(1, 5)))


def test_ismrmrd_python_reads_what_we_write() -> None:
    head = _readout().head
    stream = b"".join(
        encode(message).raw
        for message in (ConfigFile("cs"), ConfigText("{}"), Text("hello"), _readout(), _image(), _waveform())
    )
    stream += encode(NdArray(np.arange(6, dtype=np.float32).reshape(2, 3))).raw + encode(Close()).raw
    config, text, hello, readout, image, waveform, array = ProtocolDeserializer(io.BytesIO(stream)).deserialize()
    assert (str(config).rstrip("\0"), str(text), str(hello)) == ("cs", "{}", "hello")
    assert isinstance(readout, ismrmrd.Acquisition)
    assert readout.data.shape == (3, 5)
    assert readout.scan_counter == head["scan_counter"]
    assert image.data.shape == (2, 1, 3, 4)
    assert image.meta["EchoTime"] == "30"
    np.testing.assert_array_equal(waveform.data, _waveform().values)
    np.testing.assert_array_equal(array, np.arange(6, dtype=np.float32).reshape(2, 3))


def test_we_read_what_ismrmrd_python_writes() -> None:
    samples, trajectory, pixels = _complex(4, 16), RNG.random((16, 3)).astype("f4"), _complex(2, 3, 4, 5)
    readout = ismrmrd.Acquisition.from_array(samples, trajectory)
    readout.idx.kspace_encode_step_1 = 9
    waveform = ismrmrd.Waveform.from_array(np.arange(8, dtype=np.uint32).reshape(2, 4))
    stream = io.BytesIO()
    foreign = ProtocolSerializer(stream)
    image = ismrmrd.Image.from_array(pixels, transpose=False)
    image.attribute_string = META
    for item in (ForeignConfigFile("cs"), ForeignConfigText("{}"), "hello", readout, waveform, image, pixels):
        foreign.serialize(item)
    foreign.close()
    ours = list(read_messages(io.BytesIO(stream.getvalue())))
    assert ours[:3] == [ConfigFile("cs"), ConfigText("{}"), Text("hello")]
    _, _, _, acquisition, signal, picture, array, close = ours
    assert isinstance(acquisition, Acquisition)
    assert acquisition.head["idx"]["kspace_encode_step_1"] == 9
    np.testing.assert_array_equal(acquisition.samples, samples)
    np.testing.assert_array_equal(acquisition.trajectory, trajectory)
    assert isinstance(signal, Waveform)
    np.testing.assert_array_equal(signal.values, waveform.data)
    assert isinstance(picture, Image)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert "<value>30</value>" in picture.attributes
    assert isinstance(array, NdArray)
    np.testing.assert_array_equal(array.values, pixels)
    assert close == Close()


def test_random_bytes_are_read_or_refused() -> None:
    rng = np.random.default_rng(11)
    ids = np.array([kind.value for kind in MessageId], "<u2")
    for _ in range(2000):
        stream = rng.choice(ids).tobytes() + rng.integers(0, 256, rng.integers(0, 700), np.uint8).tobytes()
        try:
            list(read_messages(io.BytesIO(stream)))
        except (WireError, UnsupportedError):
            continue
