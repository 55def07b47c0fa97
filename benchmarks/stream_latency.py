"""How long after the last readout of a slice its images are there, over loopback, as the client sees it.

    python benchmarks/stream_latency.py navigate.h5 --config dl --runs 3 --out latency.json

A raw file is played by the time stamps of its readouts to servers in processes of their own, in turns: one that reconstructs
while the scan arrives and remembers the coils of the scan before ("stream": its first run has nothing to remember), one that
does not ("anew"), and one that begins when the scan has ended ("batch"). A wait runs from the moment at which the last readout
of a slice has been handed to the system to the moment at which the last byte of its image is received, for each method that
made one. Messages are made before the clock starts, so that playing them takes no time from the reconstruction. With --speed 2
the scan plays twice as fast; with --lead 8 only its last 8 seconds play in real time, and what comes before at once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any

import h5py
import numpy as np

from knerve.recon.stream_reuse import REUSED
from knerve.server.desk import Desk
from knerve.server.listener import Listener
from knerve.server.messages import READOUT_HEAD, Acquisition, Close, ConfigFile, Header, Image, Text
from knerve.server.spool import Spool
from knerve.server.wire import encode, read_messages
from knerve.server.workers import Workers

PATHS = ("stream", "anew", "batch")
METHOD = re.compile(r"knerve ([a-z-]+)</value>")
SECONDS_PER_STAMP = 2.5e-3
NOISE_FLAG = np.uint64(1 << 18)
READOUTS_AT_ONCE = 64
LAST_SHOT_S = 3.0  # before the end of the scan: from then on other programs on the machine count
WARMING_UP_S = 8.0  # a worker imports torch; scanners do not come in the first second either


@dataclass(frozen=True)
class Played:
    """A raw file as messages: bytes, seconds after the first and slice (-1 for noise) of each readout."""

    header: bytes
    readouts: list[bytes]
    due_s: list[float]
    slices: list[int]


def load(raw: Path, speed: float, lead_s: float | None) -> Played:
    """Make all messages of a raw file; readouts earlier than `lead_s` before the end are due at once."""
    readouts, stamps, slices = [], [], []
    with h5py.File(raw, "r") as file:
        xml, data = file["dataset/xml"][0], file["dataset/data"]
        for first in range(0, len(data), READOUTS_AT_ONCE):
            for record in data[first : first + READOUTS_AT_ONCE]:
                head = record["head"].astype(READOUT_HEAD)
                shape = int(head["active_channels"]), int(head["number_of_samples"])
                samples = record["data"].view(np.complex64).reshape(shape)
                readouts.append(encode(Acquisition(head, np.zeros((shape[1], 0), np.float32), samples)).raw)
                stamps.append(float(head["acquisition_time_stamp"]) * SECONDS_PER_STAMP / speed)
                slices.append(-1 if head["flags"] & NOISE_FLAG else int(head["idx"]["slice"]))
    first_stamp = stamps[0] if lead_s is None else stamps[-1] - lead_s
    return Played(xml, readouts, [max(0.0, stamp - first_stamp) for stamp in stamps], slices)


def serve(spool: Path, path: str) -> None:
    """A server that tells its port and serves until it is killed."""
    with closing(Spool(spool)) as kept, closing(Workers()) as workers:
        read_along = None if path == "batch" else workers.read_along
        desk = Desk(kept, workers.run, read_along=read_along, reuses_coils=path == "stream")
        listener = Listener(desk, port=0)
        print(listener.port, flush=True)
        listener.serve()


@dataclass(frozen=True)
class CpuClock:
    """Seconds that the machine's cores worked so far, and those of them that were ours: this process, server and workers."""

    moment: float
    all_s: float
    ours_s: float

    @classmethod
    def now(cls, server: int) -> CpuClock:
        """Read the clocks (Linux)."""
        ticks = os.sysconf("SC_CLK_TCK")
        counts = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
        ours = 0
        for process in (os.getpid(), server, *_children(server)):
            words = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ours += int(words[11]) + int(words[12])
        return cls(time.perf_counter(), (sum(counts) - counts[3] - counts[4]) / ticks, ours / ticks)

    def cores_of_others_since(self, before: CpuClock) -> float:
        """How many cores other programs kept busy, on average."""
        others = (self.all_s - before.all_s) - (self.ours_s - before.ours_s)
        return max(0.0, others / (self.moment - before.moment))


def _children(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


class Answers(Thread):
    """What the server answers, each with its moment; images by the method that made them, and by slice."""

    def __init__(self, answers: IO[bytes]) -> None:
        super().__init__(name="answers", daemon=True)
        self._answers = answers
        self.images: dict[str, dict[int, float]] = {}
        self.words: list[str] = []
        self.closed = 0.0

    def run(self) -> None:
        """Receive up to CLOSE."""
        for message in read_messages(self._answers):
            if isinstance(message, Image):
                found = METHOD.search(message.attributes)
                images = self.images.setdefault(found[1] if found else "unnamed", {})
                images.setdefault(int(message.head["slice"]), time.perf_counter())
            elif isinstance(message, Text):
                self.words.append(message.text)
        self.closed = time.perf_counter()


def play(scan: Played, port: int, config: str, server: int) -> dict[str, Any]:
    """Play a scan once; the waits of all slices."""
    last_sent: dict[int, float] = {}
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as stream:
        answers = Answers(stream)
        answers.start()
        connection.sendall(encode(ConfigFile(config)).raw + encode(Header(scan.header)).raw)
        started, behind = time.perf_counter(), 0.0
        clock = CpuClock.now(server)
        for raw, due, number in zip(scan.readouts, scan.due_s, scan.slices, strict=True):
            if due < scan.due_s[-1] - LAST_SHOT_S:
                clock = CpuClock.now(server)
            time.sleep(max(0.0, started + due - time.perf_counter()))
            connection.sendall(raw)
            last_sent[number] = time.perf_counter()
            behind = max(behind, last_sent[number] - started - due)
        connection.sendall(encode(Close()).raw)
        answers.join()
        others = CpuClock.now(server).cores_of_others_since(clock)
    last_sent.pop(-1, None)
    if not answers.images or max(map(len, answers.images.values())) < len(last_sent):
        raise SystemExit(f"{answers.images} came of {len(last_sent)} slices. The server said: {answers.words}")
    end = max(last_sent.values())
    return {
        "methods": {method: waits(images, last_sent) for method, images in answers.images.items()},
        "coils_of_scan_before": any(REUSED in words for words in answers.words),
        "said": [words for words in answers.words if REUSED not in words],
        "close_after_scan_s": round(answers.closed - end, 3),
        "cores_of_others": round(others, 2),
        "largest_delay_of_player_s": round(behind, 3),
    }


def waits(images: dict[int, float], last_sent: dict[int, float]) -> dict[str, Any]:
    """Distribution of the waits of one method's images."""
    each = {number: images[number] - moment for number, moment in sorted(last_sent.items()) if number in images}
    end, in_order = max(last_sent.values()), sorted(each.values())
    last = max(last_sent, key=lambda number: last_sent[number])
    return {
        "waits_s": {number: round(wait, 3) for number, wait in each.items()},
        "n": len(each),
        "median_s": round(statistics.median(in_order), 3),
        "p90_s": round(in_order[int(0.9 * (len(in_order) - 1))], 3),
        "largest_s": round(in_order[-1], 3),
        "last_slice_s": round(each.get(last, float("nan")), 3),
        "first_image_after_scan_s": round(min(images.values()) - end, 3),
        "last_image_after_scan_s": round(max(images.values()) - end, 3),
    }


@contextmanager
def serving(path: str) -> Iterator[tuple[int, int]]:
    """Port and process of a fresh server."""
    with tempfile.TemporaryDirectory() as folder:
        command = (sys.executable, __file__, "--serve", f"{folder}/spool", "--path", path)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None, "a pipe was asked for"
            try:
                yield int(server.stdout.readline()), server.pid
            finally:
                server.terminate()


def measure(scan: Played, paths: list[str], config: str, runs: int) -> dict[str, list[dict[str, Any]]]:
    """Play a scan to servers in turns."""
    with ExitStack() as opened:
        servers = {path: opened.enter_context(serving(path)) for path in paths}
        time.sleep(WARMING_UP_S * len(paths))
        results: dict[str, list[dict[str, Any]]] = {path: [] for path in paths}
        for _ in range(runs):
            for path, (port, server) in servers.items():
                results[path].append(play(scan, port, config, server))
        return results


def main() -> None:
    """Measure, write the JSON document and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, nargs="?", help="ISMRMRD raw file with time stamps")
    parser.add_argument("--out", type=Path, default=Path("stream_latency.json"))
    parser.add_argument("--config", default="cs")
    parser.add_argument("--runs", type=int, default=1, help="of each path")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--lead", type=float, metavar="S", help="play only the last seconds in real time")
    parser.add_argument("--paths", nargs="+", default=PATHS, choices=PATHS)
    parser.add_argument("--serve", type=Path, metavar="SPOOL", help=argparse.SUPPRESS)
    parser.add_argument("--path", default="stream", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.path)
        return
    if options.raw is None:
        parser.error("RAW is needed")
    scan = load(options.raw, options.speed, options.lead)
    results = measure(scan, options.paths, options.config, options.runs)
    document = {
        "raw": options.raw.name,
        "readouts": len(scan.readouts),
        "scan_s": round(scan.due_s[-1], 2),
        "config": options.config,
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": os.getloadavg()[0],
        "paths": results,
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    columns = ("n", "median_s", "p90_s", "largest_s", "last_slice_s", "last_image_after_scan_s")
    print(f"{'path':7} run {'coils':6} {'method':12}" + "".join(f"{name:>25}" for name in columns) + f"{'others':>9}")
    for path, played in results.items():
        for number, run in enumerate(played, 1):
            coils = "before" if run["coils_of_scan_before"] else "own"
            for method, found in run["methods"].items():
                figures = "".join(f"{found[name]:25}" for name in columns)
                print(f"{path:7} {number:3} {coils:6} {method:12}{figures}{run['cores_of_others']:9}")


if __name__ == "__main__":
    main()
