"""Malformed MRD streams against the server: does each client get words and CLOSE, without a crash, a hang or growing memory?

    python benchmarks/malformed_streams.py --streams 5000

Each stream is a tiny valid conversation in which, by its seed, sizes, ids, flags, texts, order or bytes were changed. The
server runs in this process and listens on loopback; reconstruction is left out, raw files are written. The tests run a few
hundred of the same.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import random
import resource
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from knerve.recon.errors import KnerveError
from knerve.server.desk import Desk, Patience
from knerve.server.framing import Frame
from knerve.server.job import Job
from knerve.server.listener import Listener
from knerve.server.messages import (
    IMAGE_HEAD,
    READOUT_HEAD,
    WAVEFORM_HEAD,
    Acquisition,
    Close,
    ConfigFile,
    ConfigText,
    Header,
    Image,
    Message,
    NdArray,
    Query,
    Text,
    Waveform,
)
from knerve.server.raw_file import write_raw_file
from knerve.server.spoken import info
from knerve.server.spool import SessionFolder, Spool
from knerve.server.wire import encode, read_messages

QUICK = Patience(handshake_s=2.0, silence_s=2.0, message_s=2.0, sending_s=2.0, farewell_s=1.0)
LONGEST_S = 5.0
SIZES = (0, 1, 2, 255, 256, 32767, 65535, 2**20, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)
XML = (
    "<ismrmrdHeader><encoding><encodedSpace><matrixSize><x>8</x><y>4</y><z>1</z></matrixSize><fieldOfView_mm><x>80</x><y>40</y>"
    "<z>5</z></fieldOfView_mm></encodedSpace><trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"
)
FIELDS = {  # offset behind the id, layout
    1008: (
        (2, "Q"),
        (34, "H"),
        (36, "H"),
        (38, "H"),
        (168, "H"),
        (172, "H"),
        (174, "H"),
        (176, "H"),
        (242, "H"),
        (340, "I"),
    ),
    1022: ((2, "H"), (16, "H"), (18, "H"), (20, "H"), (34, "H"), (194, "I"), (198, "Q")),
    1026: ((28, "H"), (30, "H")),
    1030: ((0, "H"), (2, "H"), (4, "H"), (6, "Q"), (14, "Q")),
    6: ((0, "Q"), (8, "Q"), (16, "Q")),
}
SIZED = ((0, "I"),)


def valid_frames() -> list[Frame]:
    """A tiny conversation with a message of every kind that a client may send."""
    readout = np.zeros(1, READOUT_HEAD)[0]
    samples = np.ones((2, 8), np.complex64)
    readouts = [Acquisition(readout, np.zeros((8, 0), np.float32), samples) for _ in range(6)]
    image = Image(np.zeros(1, IMAGE_HEAD)[0], "<ismrmrdMeta/>", np.zeros((1, 1, 2, 3), np.float32))
    waveform = Waveform(np.zeros(1, WAVEFORM_HEAD)[0], np.zeros((2, 5), np.uint32))
    first: list[Message] = [
        Query(1, "ismrmrd::version"),
        ConfigFile("cs"),
        Header(XML.encode()),
        Text('{"parameters": {"config": "cs"}}'),
    ]
    array = NdArray(np.zeros((2, 3), np.float32))
    return [encode(message) for message in (*first, *readouts, image, waveform, array, Close())]


def malformed(seed: int) -> bytes:
    """The stream of a seed: one to four changes to the valid one."""
    rng = random.Random(seed)
    stream = [frame.raw for frame in valid_frames()]
    for _ in range(rng.randint(1, 4)):
        rng.choice(CHANGES)(rng, stream)
    whole = b"".join(stream)
    return whole[: rng.randrange(len(whole) + 1)] if rng.random() < 0.2 else whole


def _place(rng: random.Random, stream: list[bytes]) -> int:
    return rng.randrange(len(stream))


def _change_size(rng: random.Random, stream: list[bytes]) -> None:
    place = _place(rng, stream)
    raw = bytearray(stream[place])
    offset, layout = rng.choice(FIELDS.get(struct.unpack_from("<H", raw)[0] if len(raw) > 1 else 0, SIZED))
    n_bytes = struct.calcsize(layout)
    if len(raw) >= 2 + offset + n_bytes:
        value = rng.choice([*SIZES, 1 << rng.randrange(8 * n_bytes), rng.getrandbits(8 * n_bytes)])
        struct.pack_into(f"<{layout}", raw, 2 + offset, value % (1 << 8 * n_bytes))
    stream[place] = bytes(raw)


def _change_id(rng: random.Random, stream: list[bytes]) -> None:
    place = _place(rng, stream)
    number = rng.choice([rng.randrange(1 << 16), *range(10), *range(1000, 1060)])
    stream[place] = struct.pack("<H", number) + stream[place][2:]


def _flip_bytes(rng: random.Random, stream: list[bytes]) -> None:
    place = _place(rng, stream)
    raw = bytearray(stream[place])
    for _ in range(rng.randint(1, 8)):
        raw[rng.randrange(len(raw))] = rng.randrange(256) if raw else 0
    stream[place] = bytes(raw)


def _drop(rng: random.Random, stream: list[bytes]) -> None:
    if len(stream) > 1:
        del stream[_place(rng, stream)]


def _repeat(rng: random.Random, stream: list[bytes]) -> None:
    place = _place(rng, stream)
    stream[place:place] = [stream[place]] * rng.choice([1, 2, 50])


def _swap(rng: random.Random, stream: list[bytes]) -> None:
    one, other = _place(rng, stream), _place(rng, stream)
    stream[one], stream[other] = stream[other], stream[one]


def _insert_noise(rng: random.Random, stream: list[bytes]) -> None:
    stream.insert(_place(rng, stream), rng.randbytes(rng.choice([1, 2, 3, 100, 5000])))


def _cut(rng: random.Random, stream: list[bytes]) -> None:
    place = _place(rng, stream)
    stream[place] = stream[place][: rng.randrange(1, len(stream[place]) + 1)]


def _strange_text(rng: random.Random, stream: list[bytes]) -> None:
    texts = [
        "",
        "\0",
        "[" * 50_000,
        '{"parameters": {"config": "' + "../" * 300 + '"}}',
        "<a>" * 20_000,
        "\x1b[2J\0tail",
        XML * 2,
    ]
    texts += [
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        XML.replace("8", "9" * 400),
        XML.replace("80", "nan"),
        XML + "\0",
        "{}",
    ]
    text = rng.choice(texts)
    messages: list[Message] = [ConfigText(text), Text(text), Header(text.encode()), ConfigFile(text[:900])]
    stream.insert(_place(rng, stream), encode(rng.choice(messages)).raw)


def _pack(rng: random.Random, stream: list[bytes]) -> None:
    """A packed readout, right or wrong."""
    head = np.zeros(1, READOUT_HEAD)[0]
    head["flags"], head["number_of_samples"], head["active_channels"] = 1 << 53, 8, 2
    count, n_bits = rng.choice([32, 32, 0, 31, 2**63]), rng.choice([8, 12, 0, 32, 33, 255])
    scale = rng.choice([1.0, 0.0, float("nan"), -1.0])
    block = struct.pack("<QfB", count, scale, n_bits) + rng.randbytes(rng.choice([0, 32, 48, 128]))
    raw = (
        struct.pack("<H", 1008)
        + head.tobytes()
        + struct.pack("<I", rng.choice([len(block), rng.getrandbits(32)]))
        + block
    )
    stream.insert(_place(rng, stream), raw)


CHANGES: tuple[Callable[[random.Random, list[bytes]], None], ...] = (
    _change_size,
    _change_size,
    _change_size,
    _change_id,
    _flip_bytes,
    _drop,
    _repeat,
    _swap,
    _insert_noise,
    _cut,
    _strange_text,
    _pack,
)


def only_raw_files(job: Job) -> Iterator[Frame]:
    """The part of a worker's job that reads the journal."""
    folder = SessionFolder(Path(job.folder))
    try:
        write_raw_file(folder.journal, folder.raw)
        words = "raw file written"
    except KnerveError as refusal:
        words = str(refusal)
    folder.raw.unlink(missing_ok=True)
    yield encode(info(words))


def complaint(port: int, stream: bytes) -> str:
    """What was wrong with the answer to a stream; nothing if it had words and ended in CLOSE, in time."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), LONGEST_S) as client:
        sender = threading.Thread(target=_send, args=(client, stream))
        sender.start()
        try:
            parts = list(iter(lambda: client.recv(1 << 16), b""))
        except OSError as error:
            return f"no answer: {error}"
        finally:
            sender.join()
    answer = io.BytesIO(b"".join(parts))
    messages = list(read_messages(answer))
    if not messages or messages[-1] != Close() or answer.read():
        return f"CLOSE is not the last word: {messages[-2:]}"
    texts = [message.text for message in messages if isinstance(message, Text)]
    if not texts:
        return "no words"
    if any("The server failed" in text for text in texts):
        return "a crash"
    seconds = time.monotonic() - started
    return f"took {seconds:.1f} s" if seconds > LONGEST_S else ""


def _send(client: socket.socket, stream: bytes) -> None:
    try:
        client.sendall(stream)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server has had enough; its answer counts


def complaints(seeds: range, spool: Path) -> Iterator[tuple[int, str]]:
    """Each seed with its complaint, mostly none; sessions are forgotten on the way."""
    with closing(Spool(spool)) as kept, closing(Listener(Desk(kept, only_raw_files, QUICK), port=0)) as listener:
        threading.Thread(target=listener.serve, daemon=True).start()
        for seed in seeds:
            yield seed, complaint(listener.port, malformed(seed))
            if seed % 50 == 0:
                for folder in kept.sessions():
                    folder.remove()


def main() -> None:
    """Run the streams of consecutive seeds and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable()
    seeds = range(options.first_seed, options.first_seed + options.streams)
    started, found, peaks = time.perf_counter(), {}, []
    with tempfile.TemporaryDirectory() as folder:
        for done, (seed, words) in enumerate(complaints(seeds, Path(folder) / "spool"), 1):
            if words:
                found[seed] = words
            if done in (min(500, options.streams), options.streams):
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    document = {
        "streams": options.streams,
        "first_seed": options.first_seed,
        "complaints": found,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mib_after_500": round(peaks[0]),
        "peak_memory_mib_at_the_end": round(peaks[-1]),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
