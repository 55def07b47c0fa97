"""Processes that die, a disk that fills up, many scans at once and many after each other."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
from fault_rig import (
    Answer,
    Finding,
    Server,
    in_this_process,
    largest_difference,
    play,
    resident_mib,
    serving,
    sessions,
    slope_per_hundred,
    until,
)
from numpy.typing import NDArray

from knerve.server.desk import Desk
from knerve.server.image_file import image_messages
from knerve.server.job import Job
from knerve.server.journal import JournalReader
from knerve.server.listener import Listener
from knerve.server.messages import MessageId
from knerve.server.session_record import UNFINISHED
from knerve.server.spool import SessionFolder, Spool

SURELY_RECEIVED_S = 0.25  # what the system had taken so long before a kill, the server must have kept
MOST_DIFFERENCE = 1e-4  # of the largest pixel: what arrives is reconstructed in another order than what is there
SETTLING_S = 2.0
MIB = 1 << 20
PLACES = ("waiting", "receiving", "reconstructing", "out of memory")


def killed_server(folder: Path, scan: Sequence[bytes], n_kills: int, seed: int = 0) -> Finding:
    """`kill -9` at random moments of a scan; the next start makes the image from what had come, and no other."""
    rng, spool = random.Random(seed), folder / "spool"
    n_lost, n_differ, n_images, states = 0, 0, 0, {"receiving": 0, "reconstructing": 0, "ended": 0}
    for _ in range(n_kills):
        with serving(spool) as server:
            until(lambda: all(_has_ended(one) for one in sessions(spool)))  # those of the kill before
            answer, moment = _kill_within(server, scan, rng)
        for one in sessions(spool)[:-1]:
            if (one.path / "expected.npz").exists():
                n_differ += not _is_as_expected(one)
                n_images += one.images.exists()
            one.remove()
        last = sessions(spool)[-1]
        record = last.read()
        states["ended" if record is None or record.state not in UNFINISHED else record.state] += 1
        n_sent = sum(sent < moment - SURELY_RECEIVED_S for sent in answer.sent)
        n_kept = sum(1 for _ in JournalReader(last.journal)) if last.journal.exists() else 0
        n_lost += max(0, n_sent - n_kept)
        _expect(last)
    with serving(spool):
        until(lambda: all(_has_ended(one) for one in sessions(spool)))
        n_differ += not _is_as_expected(sessions(spool)[-1])
    figures: dict[str, object] = {
        "kills": n_kills,
        **{f"killed_while_{name}": n for name, n in states.items()},
        "messages_lost": n_lost,
        "recovered_with_images": n_images,
        "images_that_differ": n_differ,
    }
    return Finding("kill -9 of the server", figures, n_lost == 0 and n_differ == 0)


def _kill_within(server: Server, scan: Sequence[bytes], rng: random.Random) -> tuple[Answer, float]:
    answers: list[Answer] = []
    client = Thread(target=lambda: answers.append(play(server.port, scan, pause_s=0.01)))
    client.start()
    time.sleep(0.05 + rng.random() * (0.01 * len(scan) + 0.4))
    server.process.send_signal(signal.SIGKILL)
    moment = time.monotonic()
    server.process.wait()
    client.join()
    return answers[0], moment


def _expect(folder: SessionFolder) -> None:
    """What must come out of this journal: made here, in a copy of its folder."""
    record = folder.read()
    aside = SessionFolder(folder.path.parent / "aside")
    aside.path.mkdir()
    shutil.copy(folder.journal, aside.journal)
    list(in_this_process(Job(str(aside.path), record.pipeline if record else "default", wants_images=True)))
    images, ended = _images(aside), record is not None and record.state not in UNFINISHED
    shutil.rmtree(aside.path)
    n_readouts = sum(frame.kind == MessageId.ACQUISITION for frame in JournalReader(folder.journal))
    np.savez(folder.path / "expected.npz", images=images, n_readouts=n_readouts, ended=ended)


def _is_as_expected(folder: SessionFolder) -> bool:
    expected, record = np.load(folder.path / "expected.npz"), folder.read()
    images = _images(folder)
    if record is None or record.n_readouts != expected["n_readouts"] or len(images) != len(expected["images"]):
        return False
    most = MOST_DIFFERENCE if expected["ended"] else 0.0  # one that had ended was made while it arrived
    return largest_difference(images, list(expected["images"])) <= most


def _images(folder: SessionFolder) -> list[NDArray[np.float32]]:
    return [image.pixels[0, 0] for image in image_messages(folder.images)] if folder.images.exists() else []


def _has_ended(folder: SessionFolder) -> bool:
    record = folder.read()
    return record is not None and record.state not in UNFINISHED


def full_disk(folder: Path, scan: Sequence[bytes], sizes_kib: Sequence[int]) -> Finding | None:
    """A disk that fills up at every stage of a scan; None where this user may not mount one."""
    counts = dict.fromkeys(
        ("with_images", "told_why_not", "journals_complete", "made_later", "next_scans_with_images"), 0
    )
    n_lost = 0
    for size_kib in sizes_kib:
        with _small_disk(folder / "disk", size_kib) as disk:
            if disk is None:
                return None
            with (
                closing(Spool(disk / "spool")) as spool,
                closing(Listener(Desk(spool, in_this_process), port=0)) as listener,
            ):
                Thread(target=listener.serve, daemon=True).start()
                first = play(listener.port, scan)
                counts["with_images"] += len(first.images) == 2
                counts["told_why_not"] += not first.images and any("ERROR" in words for words in first.texts)
                kept = [(one, _messages(one)) for one in spool.sessions() if one.journal.exists()]
                subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
                again = play(listener.port, scan)
                counts["next_scans_with_images"] += len(again.images) == 2 and again.is_closed
                listener.wait(5)
                for one, messages in kept:  # what `knerve recon` does with a journal
                    n_lost += messages != [raw[2:] for raw in scan[: len(messages)]]
                    counts["journals_complete"] += len(messages) == len(scan)
                    list(in_this_process(Job(str(one.path), "cs", wants_images=True)))
                    counts["made_later"] += len(messages) == len(scan) and len(_images(one)) == 2
    figures: dict[str, object] = {"disks": len(sizes_kib), **counts, "journals_unlike_the_scan": n_lost}
    holds = (
        counts["with_images"] + counts["told_why_not"] == counts["next_scans_with_images"] == len(sizes_kib)
        and counts["made_later"] == counts["journals_complete"] > 0
        and counts["with_images"] > 0
        and n_lost == 0
    )
    return Finding("disk full", figures, holds)


def _messages(folder: SessionFolder) -> list[bytes]:
    """What a journal holds, without ids."""
    return [frame.content for frame in JournalReader(folder.journal)]


@contextmanager
def _small_disk(path: Path, size_kib: int) -> Iterator[Path | None]:
    path.mkdir(exist_ok=True)
    if shutil.which("mount") is None:
        yield None
        return
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def killed_workers(server: Server, scan: Sequence[bytes], places: Sequence[str] = PLACES) -> Finding:
    """The process that reconstructs dies: by a signal while it waits, receives and reconstructs, and out of memory."""
    n_right, n_told = 0, 0
    expected = play(server.port, scan).images
    for place in places:
        answer = _play_with_death(server, scan, place)
        n_right += answer.is_closed and largest_difference(answer.images, expected) <= MOST_DIFFERENCE
        n_told += any("tried once more" in words for words in answer.texts)
    after = play(server.port, scan)
    is_alive = server.process.poll() is None and len(server.workers()) == 2
    figures: dict[str, object] = {
        "deaths": len(places),
        "images_right_all_the_same": n_right,
        "clients_told": n_told,
        "images_after": len(after.images),
    }
    holds = is_alive and n_right == len(places) and largest_difference(after.images, expected) <= MOST_DIFFERENCE
    return Finding("worker killed, out of memory", figures, holds)


def _play_with_death(server: Server, scan: Sequence[bytes], place: str) -> Answer:
    if place == "waiting":
        for worker in server.workers():
            os.kill(worker, signal.SIGSEGV)
    answers: list[Answer] = []
    client = Thread(target=lambda: answers.append(play(server.port, scan, pause_s=0.005)))
    client.start()
    if place != "waiting":
        until(lambda: _busy(server) or not client.is_alive())
        busy = _busy(server)
        if place == "out of memory":
            for worker in busy:
                size = int(Path(f"/proc/{worker}/statm").read_text(encoding="ascii").split()[0]) * 4096
                resource.prlimit(worker, resource.RLIMIT_AS, (size + MIB, resource.RLIM_INFINITY))
        elif busy:
            time.sleep(0.002 * len(scan) if place == "receiving" else 0.0052 * len(scan))
            os.kill(busy[0], signal.SIGSEGV)
    client.join()
    for worker in server.workers():  # who survived has room again
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(worker, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return answers[0]


def _busy(server: Server) -> list[int]:
    return [worker for worker in server.workers() if _reads_a_journal(worker)]


def _reads_a_journal(worker: int) -> bool:
    try:
        links = [os.readlink(path) for path in Path(f"/proc/{worker}/fd").iterdir()]
    except OSError:
        return False
    return any(link.endswith("stream.journal") for link in links)


def at_once(server: Server, scans: Sequence[Sequence[bytes]]) -> Finding:
    """Different scans at the same time: each gets its own images, those that it gets alone."""
    alone = [play(server.port, scan).images for scan in scans]
    with ThreadPoolExecutor(len(scans)) as clients:
        together = list(clients.map(lambda scan: play(server.port, scan), scans))
    differences = [largest_difference(one.images, images) for one, images in zip(together, alone, strict=True)]
    n_different = sum(largest_difference(alone[0], images) > 100 * MOST_DIFFERENCE for images in alone[1:])
    figures: dict[str, object] = {
        "scans": len(scans),
        "closed": sum(one.is_closed for one in together),
        "largest_difference": f"{max(differences):.1e}",
        "identical": sum(difference == 0 for difference in differences),
    }
    holds = max(differences) <= MOST_DIFFERENCE and n_different > 0 and all(one.is_closed for one in together)
    return Finding("scans at once", figures, holds)


def _let_settle(server: Server, counts: dict[str, list[float]]) -> None:
    """Give the client before time to leave."""
    end = time.monotonic() + SETTLING_S
    while counts["threads"] and time.monotonic() < end:
        if server.n_threads() <= counts["threads"][0] and server.n_descriptors() <= counts["descriptors"][0]:
            return
        time.sleep(0.01)


def soak(server: Server, scan: Sequence[bytes], n_scans: int) -> Finding:
    """Scan after scan: files, threads and memory stay as they were."""
    step = max(1, n_scans // 50)
    counts: dict[str, list[float]] = {"descriptors": [], "threads": [], "server_mib": [], "workers_mib": []}
    n_right = 0
    expected = play(server.port, scan).images
    for number in range(n_scans):
        answer = play(server.port, scan)
        n_right += answer.is_closed and largest_difference(answer.images, expected) <= MOST_DIFFERENCE
        if number % step == 0:
            _let_settle(server, counts)
            counts["descriptors"].append(server.n_descriptors())
            counts["threads"].append(server.n_threads())
            counts["server_mib"].append(server.resident_mib())
            counts["workers_mib"].append(sum(map(resident_mib, server.workers())))
    late = {name: values[len(values) // 5 :] for name, values in counts.items()}  # warm by then
    slopes = {name: round(slope_per_hundred(values, step), 3) for name, values in late.items()}
    figures: dict[str, object] = {
        "scans": n_scans,
        "right": n_right,
        **{f"{name}_at_the_end": round(values[-1], 1) for name, values in late.items()},
        **{f"{name}_per_100_scans": slope for name, slope in slopes.items()},
    }
    flat = slopes["descriptors"] <= 0.2 and slopes["threads"] <= 0.2
    holds = n_right == n_scans and flat and slopes["server_mib"] <= 0.5 and slopes["workers_mib"] <= 2.0
    return Finding("one scan after the other", figures, holds)
