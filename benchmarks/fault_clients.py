"""Clients that misbehave: malformed, killed anywhere, silent or slow by the hundred, deaf."""

from __future__ import annotations

import json
import logging
import random
import socket
import statistics
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread, active_count

import numpy as np
from fault_rig import Finding, Server, play, resident_mib, until
from malformed_streams import complaints

from knerve.server.desk import Desk, Patience
from knerve.server.framing import Frame
from knerve.server.job import Job
from knerve.server.journal import JournalReader
from knerve.server.listener import Listener
from knerve.server.messages import IMAGE_HEAD, Image, MessageId
from knerve.server.spool import Spool
from knerve.server.wire import encode

MOST_GROWTH_MIB = 50.0
MOST_DELAY = 1.10
DRIBBLE_S = 0.2
DEATHS_AT_ONCE = 10
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: hang up without a farewell


def malformed(folder: Path, n_streams: int, first_seed: int = 0) -> Finding:
    """Streams that are wrong in one to four places: words and CLOSE for each, in time, without growing."""
    logging.disable()
    found: dict[int, str] = {}
    longest, before = 0.0, 0.0
    started = time.monotonic()
    for done, (seed, words) in enumerate(complaints(range(first_seed, first_seed + n_streams), folder / "spool"), 1):
        now = time.monotonic()
        longest, started = max(longest, now - started), now
        if words:
            found[seed] = words
        if done == max(1, n_streams // 10):
            before = resident_mib()
    grown = resident_mib() - before
    logging.disable(logging.NOTSET)
    figures: dict[str, object] = {
        "streams": n_streams,
        "complaints": found,
        "longest_s": round(longest, 2),
        "growth_mib": round(grown, 1),
    }
    return Finding("malformed streams", figures, not found and grown < MOST_GROWTH_MIB)


def killed_clients(server: Server, scan: Sequence[bytes]) -> Finding:
    """A client that dies behind every message: closed, reset, and in the middle of the next one."""
    threads = server.n_threads()
    dead: list[socket.socket] = []
    for n_sent in range(len(scan)):
        dead += [_die(server.port, scan, n_sent, how) for how in ("closed", "reset", "within")]
        if n_sent % DEATHS_AT_ONCE == 0:  # else there would be more clients than the server takes
            _bury(server, dead)
    _bury(server, dead)
    good = play(server.port, scan)
    left = until(lambda: server.n_threads() <= threads + 1) and server.n_threads() - threads
    is_alive = server.process.poll() is None
    found = Counter(_n_readouts(journal) for journal in server.spool.glob("2*/stream.journal"))
    raw = Counter(json.loads(path.read_text())["n_readouts"] for path in server.spool.glob("2*/session.json"))
    # behind config and header; who is reset may take up to all of his readouts with him
    lacking = [n for n in range(1, len(scan) - 2) if found[n] < 2]
    figures: dict[str, object] = {
        "deaths": 3 * len(scan),
        "journals_that_lack_readouts": len(lacking),
        "records_unlike_journals": sum((found - raw).values()),
        "threads_left": left,
        "images_after": len(good.images),
    }
    holds = is_alive and not lacking and found == raw and left <= 1 and len(good.images) == 2 and good.is_closed
    return Finding("client killed at every message", figures, holds)


def _die(port: int, scan: Sequence[bytes], n_sent: int, how: str) -> socket.socket:
    """A client that says no more; the system tells the server so, or tears the connection with all that is unread."""
    client = socket.create_connection(("127.0.0.1", port), 10)
    part = scan[n_sent][: len(scan[n_sent]) // 2] if how == "within" else b""
    with suppress(OSError):
        client.sendall(b"".join(scan[:n_sent]) + part)
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
    else:
        client.shutdown(socket.SHUT_WR)
    return client


def _bury(server: Server, dead: list[socket.socket]) -> None:
    while dead:
        with dead.pop() as client, suppress(OSError):  # closed with words unread, it would tear its own readouts away
            while client.recv(1 << 16):
                pass
    until(lambda: all(_has_ended(path) for path in server.spool.glob("2*/session.json")))


def _has_ended(record: Path) -> bool:
    try:
        return json.loads(record.read_text())["state"] not in ("receiving", "reconstructing")
    except (OSError, ValueError):  # it is being replaced, or removed
        return False


def _n_readouts(journal: Path) -> int:
    return sum(frame.kind == MessageId.ACQUISITION for frame in JournalReader(journal))


def crowd(server: Server, scan: Sequence[bytes], n_bad: int, n_rounds: int, n_scans: int) -> Finding:
    """A good client among many that say nothing, or a byte now and then: its wait beside that without them, in turns."""
    alone: list[float] = []
    among: list[float] = []
    n_answered = 0
    for _ in range(5):
        play(server.port, scan)  # until both processes are warm
    for _ in range(n_rounds):
        for waits, n_others in ((alone, 0), (among, n_bad)):
            with _bad_clients(server, n_others):
                answers = [play(server.port, scan) for _ in range(n_scans)]
            n_answered += sum(len(answer.images) == 2 and answer.is_closed for answer in answers)
            waits += [answer.wait_s for answer in answers]
    ratio = statistics.median(among) / statistics.median(alone)
    figures: dict[str, object] = {
        "bad_clients": n_bad,
        "scans": 2 * n_rounds * n_scans,
        "answered": n_answered,
        "median_wait_alone_ms": round(1e3 * statistics.median(alone), 1),
        "median_wait_among_ms": round(1e3 * statistics.median(among), 1),
        "ratio": round(ratio, 3),
    }
    return Finding(
        "half-open and dribbling clients", figures, n_answered == 2 * n_rounds * n_scans and ratio < MOST_DELAY
    )


@contextmanager
def _bad_clients(server: Server, n: int) -> Iterator[None]:
    """Half of them silent, half of them slow; who is thrown out comes back."""
    is_over = Event()
    threads = [Thread(target=_be_bad, args=(server.port, is_over, number), daemon=True) for number in range(n)]
    for thread in threads:
        thread.start()
    time.sleep(0.5 if n else 0.0)
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _be_bad(port: int, is_over: Event, number: int) -> None:
    rng = random.Random(number)
    dribble = encode(Image(np.zeros(1, IMAGE_HEAD)[0], "", np.zeros((1, 1, 9, 9), np.float32))).raw
    while not is_over.wait(rng.random() * DRIBBLE_S):
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.settimeout(DRIBBLE_S)
                for byte in dribble:
                    if is_over.is_set() or not _is_kept(client):
                        break
                    if number % 2:
                        client.sendall(bytes([byte]))
        except OSError:
            pass  # thrown out


def _is_kept(client: socket.socket) -> bool:
    try:
        return client.recv(1 << 12) != b""
    except TimeoutError:
        return True


def deaf(folder: Path, scan: Sequence[bytes], sending_s: float) -> Finding:
    """A client that never reads its 15 images of a megabyte; another one is served meanwhile."""
    pixels = np.zeros((1, 1, 484, 552), np.float32)
    frames = [encode(Image(np.zeros(1, IMAGE_HEAD)[0], "", pixels)) for _ in range(15)]
    held: list[float] = []

    def reconstruct(_: Job) -> Iterator[Frame]:
        began = time.monotonic()
        yield from frames
        held.append(time.monotonic() - began)

    patience = Patience(sending_s=sending_s, farewell_s=0.5)
    with (
        closing(Spool(folder / "spool")) as spool,
        closing(Listener(Desk(spool, reconstruct, patience), port=0)) as listener,
        socket.socket() as client,
    ):
        Thread(target=listener.serve, daemon=True).start()
        threads = active_count()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", listener.port))
        client.sendall(b"".join(scan))
        began = time.monotonic()
        until(lambda: held)
        good = play(listener.port, scan)
        left = listener.wait(sending_s + 10)
        given_up_s = time.monotonic() - began
        is_clean = until(lambda: active_count() <= threads)
    figures: dict[str, object] = {
        "worker_held_s": round(held[0], 3),
        "wait_of_another_s": round(good.wait_s, 3),
        "given_up_after_s": round(given_up_s, 1),
        "sending_s": sending_s,
        "clients_left": left,
    }
    holds = held[0] < 0.5 and len(good.images) == 15 and not left and is_clean and given_up_s < sending_s + 5
    return Finding("client that never reads", figures, holds)
