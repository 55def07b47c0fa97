"""What the server itself costs: everything between a scanner's bytes and the images but the reconstruction.

    python benchmarks/server_overhead.py --scans 100

Scans of 16 coils x 1104 samples (141 kB a readout) go over loopback to a server in a process of its own, whose
reconstruction is 15 images of 552 x 484 that are made already. Short scans at a steady pace tell the time from CLOSE to the
first image, to the last and to the server's CLOSE, as the client sees it; one long scan, as fast as the server takes it, tells
how fast readouts are received and journalled.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from knerve.server.desk import Desk
from knerve.server.listener import Listener
from knerve.server.messages import (
    IMAGE_HEAD,
    READOUT_HEAD,
    Acquisition,
    Close,
    ConfigFile,
    Header,
    Image,
)
from knerve.server.spool import Spool
from knerve.server.wire import encode, read_messages

N_COILS, N_SAMPLES, N_IMAGES, MATRIX = 16, 1104, 15, (484, 552)
XML = (
    "<ismrmrdHeader><encoding><encodedSpace><matrixSize><x>1104</x><y>484</y><z>1</z></matrixSize><fieldOfView_mm><x>320</x>"
    "<y>160</y><z>3</z></fieldOfView_mm></encodedSpace><trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"
)


def serve(spool: Path) -> None:
    """A server whose images are made already; it tells its port and serves until it is killed."""
    pixels = np.random.default_rng(0).random((1, 1, *MATRIX), np.float32)
    images = [encode(Image(np.zeros(1, IMAGE_HEAD)[0], "<ismrmrdMeta/>", pixels)) for _ in range(N_IMAGES)]
    listener = Listener(Desk(Spool(spool), lambda _: iter(images)), port=0)
    print(listener.port, flush=True)
    listener.serve()


@dataclass(frozen=True)
class Times:
    """Seconds of one scan: sending its readouts, and from CLOSE to what came back."""

    sending: float
    first_image: float
    last_image: float
    close: float


def scan(port: int, n_readouts: int, pause_s: float) -> Times:
    """Play one scan."""
    head, no_trajectory = np.zeros(1, READOUT_HEAD)[0], np.zeros((N_SAMPLES, 0), np.float32)
    raw = encode(Acquisition(head, no_trajectory, np.ones((N_COILS, N_SAMPLES), np.complex64))).raw
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
        connection.sendall(encode(ConfigFile("cs")).raw + encode(Header(XML.encode())).raw)
        started = time.perf_counter()
        for _ in range(n_readouts):
            connection.sendall(raw)
            time.sleep(pause_s)
        closed = time.perf_counter()
        connection.sendall(encode(Close()).raw)
        came = [(type(message), time.perf_counter() - closed) for message in read_messages(answers)]
    images = [seconds for kind, seconds in came if kind is Image]
    if len(images) != N_IMAGES or came[-1][0] is not Close:
        raise SystemExit(f"{len(images)} images came, then {came[-1][0].__name__}; {N_IMAGES} and CLOSE were expected.")
    return Times(closed - started, images[0], images[-1], came[-1][1])


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile (nearest rank) and largest."""
    ranked = sorted(seconds)
    chosen = {"median": ranked[len(ranked) // 2], "p99": ranked[-(-99 * len(ranked) // 100) - 1], "largest": ranked[-1]}
    return {name: round(1e3 * value, 2) for name, value in chosen.items()}


def main() -> None:
    """Run the scans and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--readouts", type=int, default=32, help="of each short scan")
    parser.add_argument("--pause-ms", type=float, default=5.0, help="between readouts of the short scans")
    parser.add_argument("--long", type=int, default=1000, help="readouts of the long scan")
    parser.add_argument("--serve", type=Path, metavar="SPOOL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    with tempfile.TemporaryDirectory() as folder:
        command = (sys.executable, __file__, "--serve", f"{folder}/spool")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None, "a pipe was asked for"
            port = int(server.stdout.readline())
            try:
                short = [scan(port, options.readouts, options.pause_ms / 1e3) for _ in range(options.scans)]
                long = scan(port, options.long, 0.0)
            finally:
                server.kill()
    n_bytes = 8 * N_COILS * N_SAMPLES * options.long
    document = {
        "scans": options.scans,
        "close_to_first_image_ms": milliseconds([times.first_image for times in short]),
        "close_to_last_image_ms": milliseconds([times.last_image for times in short]),
        "close_to_close_ms": milliseconds([times.close for times in short]),
        "readouts_per_second": round(options.long / long.sending),
        "megabytes_per_second": round(n_bytes / long.sending / 1e6),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
