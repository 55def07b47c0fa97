"""A session that is reconstructed while it is received: images come early, whole, once, and labelled where they must be."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np
import pytest

from knerve.datasets.mrd_file import read_mrd
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings
from knerve.server.desk import Desk
from knerve.server.errors import WorkerError
from knerve.server.framing import Frame
from knerve.server.image_file import image_messages
from knerve.server.job import ALL, MORE, NO_MORE, PREVIEW_SERIES, Job
from knerve.server.listener import serve_client
from knerve.server.messages import Acquisition, Close, ConfigFile, Header, Image, Message, MessageId, Text
from knerve.server.stream_job import read_along
from knerve.server.wire import encode, read_messages
from knerve.server.worker import done
from knerve.server.workers import Workers

FIRST, LAST = np.uint64(1 << 6), np.uint64(1 << 7)
NOISE = np.uint64(1 << 18)


class InThisProcess:
    """A `Companion` in a thread, without a process; with `dies_after` it gives up after so many images."""

    def __init__(self, job: Job, take: Callable[[Frame], None], dies_after: int | None = None) -> None:
        self._job, self._take = job, take
        self._bells: Queue[bytes] = Queue()
        self._n_images, self._dies_after = 0, dies_after
        self._is_dead = False
        self._thread = Thread(target=self._work)
        self._thread.start()

    def ring(self) -> None:
        """There is more."""
        self._bells.put(MORE)

    def finish(self, *, is_complete: bool, first_s: float | None = None) -> None:
        """That was all."""
        assert first_s is None or first_s >= 2
        self._bells.put(ALL if is_complete else NO_MORE)
        self._thread.join()
        if self._is_dead:
            raise WorkerError("The process that reconstructs was ended by signal SIGSEGV.")

    def _work(self) -> None:
        job, shortfall = read_along(self._job, self._bells.get, self._send)
        for message in done(job, shortfall):
            if not isinstance(message, Close):
                self._send(message)

    def _send(self, message: Message) -> None:
        frame = encode(message)
        self._is_dead |= self._dies_after is not None and self._n_images >= self._dies_after
        if not self._is_dead:
            self._n_images += frame.kind == MessageId.IMAGE
            self._take(frame)


def talk(desk: Desk, messages: list[Message]) -> list[Message]:
    """Send everything, hang up, and read everything."""
    ours, theirs = socket.socketpair()
    server = Thread(target=serve_client, args=(theirs, desk))
    server.start()
    with ours, ours.makefile("rb") as answers:
        sender = Thread(target=ours.sendall, args=(b"".join(encode(message).raw for message in messages),))
        sender.start()
        answer = list(read_messages(answers))
        sender.join()
    server.join()
    return answer


def images_of(answer: list[Message], series: int = 0) -> list[Image]:
    found = [m for m in answer if isinstance(m, Image) and m.head["image_series_index"] == series]
    return sorted(found, key=lambda image: int(image.head["image_index"]))


@pytest.fixture
def live(desk: Desk) -> Desk:
    return replace(desk, read_along=InThisProcess)


@pytest.fixture
def expected(raw_file: Path) -> np.ndarray:
    return reconstruct(read_mrd(raw_file), Settings(method="zero-filled")).magnitude.numpy()


def assert_images(images: list[Image], expected: np.ndarray) -> None:
    assert [int(image.head["image_index"]) for image in images] == [*range(1, len(expected) + 1)]
    np.testing.assert_allclose(np.concatenate([image.pixels[0] for image in images]), expected, atol=1e-3)


def test_images_are_those_of_the_journal(
    live: Desk, desk: Desk, scan: list[Message], expected: np.ndarray, words_of
) -> None:
    streamed, whole = talk(live, scan), talk(desk, scan)
    assert_images(images_of(streamed), expected)
    for one, other in zip(images_of(streamed), images_of(whole), strict=True):
        heads = [image.head.copy() for image in (one, other)]
        for head in heads:
            head["attribute_string_len"] = 0  # the grey window is that of the slices finished so far
        assert heads[0] == heads[1]
        assert one.attributes.split("WindowCenter")[0] == other.attributes.split("WindowCenter")[0]
    assert isinstance(streamed[0], Text)
    assert words_of(whole) in words_of(streamed)
    first, second = desk.spool.sessions()
    assert first.read().state == second.read().state == "done"
    assert first.raw.is_file()
    kept = list(image_messages(first.images))
    assert_images(kept, expected)
    assert [image.attributes for image in kept] == [image.attributes for image in image_messages(second.images)]
    assert not [path for path in first.path.iterdir() if ".part" in path.name]


def test_an_image_comes_before_the_scan_ends(live: Desk, scan: list[Message], expected: np.ndarray) -> None:
    of_first = [
        m for m in scan if not isinstance(m, Acquisition) or m.head["flags"] & NOISE or not m.head["idx"]["slice"]
    ]
    ours, theirs = socket.socketpair()
    server = Thread(target=serve_client, args=(theirs, live))
    server.start()
    with ours, ours.makefile("rb") as answers:
        ours.settimeout(20)
        ours.sendall(b"".join(encode(message).raw for message in of_first[:-1]))
        stream = read_messages(answers)
        while not isinstance(image := next(stream), Image):
            pass
        np.testing.assert_allclose(image.pixels[0, 0], expected[0], atol=1e-3)
        sent = {id(message) for message in of_first[:-1]}
        ours.sendall(b"".join(encode(message).raw for message in scan if id(message) not in sent))
        (second,) = images_of(list(stream))
    server.join()
    assert second.head["image_index"] == 2


def test_a_dying_process_costs_no_image_and_doubles_none(
    desk: Desk, scan: list[Message], expected: np.ndarray, words_of
) -> None:
    for n_images in (0, 1):
        mortal = replace(desk, read_along=lambda job, take, n=n_images: InThisProcess(job, take, n))
        answer = talk(mortal, scan)
        assert_images(images_of(answer), expected)
        assert "SIGSEGV. It is tried once more from the journal" in words_of(answer)
        (folder,) = desk.spool.sessions()
        assert folder.read().state == "done"
        folder.remove()


def test_without_a_free_process_the_journal_is_reconstructed(
    desk: Desk, scan: list[Message], expected: np.ndarray
) -> None:
    assert_images(images_of(talk(replace(desk, read_along=lambda *_: None), scan)), expected)


def changed(message: Message, **values: object) -> Message:
    """A readout with other counters or flags."""
    if not isinstance(message, Acquisition):
        return message
    head = message.head.copy()
    for name, value in values.items():
        if name in head["idx"].dtype.names:
            head["idx"][name] = value
        else:
            head[name] = value
    return replace(message, head=head)


def _averaged(scan: list[Message]) -> list[Message]:
    readouts = [m for m in scan if isinstance(m, Acquisition) and not m.head["flags"] & NOISE]
    return [*scan[:-1], *(changed(m, average=1) for m in readouts), Close()]


def _without_noise(scan: list[Message]) -> list[Message]:
    return [m for m in scan if not isinstance(m, Acquisition) or not m.head["flags"] & NOISE]


def _of_many_slices(scan: list[Message]) -> list[Message]:
    return [*scan[:-1], changed(scan[-2], slice=7), Close()]


def _of_other_lines(scan: list[Message]) -> list[Message]:
    return [*scan[:-4], *scan[-3:]]


def _with_header(old: bytes, new: bytes) -> Callable[[list[Message]], list[Message]]:
    def change(scan: list[Message]) -> list[Message]:
        assert isinstance(scan[1], Header)
        assert old in scan[1].xml
        return [scan[0], Header(scan[1].xml.replace(old, new)), *scan[2:]]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_averaged, "are sent again: it is averaged"),
        (_without_noise, "noise readouts of one dwell time do not come first"),
        (_of_many_slices, "are sent again: slice 7 came, but the header announces 2"),
        (_of_other_lines, "has other lines than the slices before it"),
        (_with_header(b"<slice>", b"<kslice>"), "cannot be read|not well-formed|does not say how many slices"),
        (_with_header(b"cartesian", b"radial"), "it is not a Cartesian 2-D scan"),
    ],
)
def test_what_cannot_be_streamed_is_said_and_reconstructed_whole(
    live: Desk, desk: Desk, scan: list[Message], change: Callable[[list[Message]], list[Message]], words: str, words_of
) -> None:
    answer, whole = talk(live, change(scan)), talk(desk, change(scan))
    assert any(word in words_of(answer) for word in words.split("|"))
    assert "sent again" in words or len(images_of(answer)) == len(images_of(whole))
    last = {int(image.head["image_index"]): image for image in images_of(answer)}
    for image in images_of(whole):
        np.testing.assert_allclose(last[int(image.head["image_index"])].pixels, image.pixels, atol=1e-3)


def test_a_scan_that_ends_early_is_labelled(live: Desk, scan: list[Message], words_of) -> None:
    n_left_out = 5
    in_turn = sorted(scan[2:-1], key=lambda readout: int(readout.head["idx"]["slice"]))
    answer = talk(live, [*scan[:2], *in_turn[:-n_left_out], Close()])
    n_sent, n_all = len(scan) - 3 - n_left_out, len(scan) - 3
    label = f"INCOMPLETE ({n_sent} of {n_all} readouts)"
    assert f"{label}: the scan ended before all readouts came" in words_of(answer)
    first, second = images_of(answer)
    assert label in second.attributes
    assert "INCOMPLETE" not in first.attributes  # it is whole


def test_a_scan_of_which_no_slice_is_whole_is_labelled_too(live: Desk, scan: list[Message]) -> None:
    noise = [m for m in scan if isinstance(m, Acquisition) and m.head["flags"] & NOISE]
    readouts = [
        m for m in scan if isinstance(m, Acquisition) and not m.head["flags"] & NOISE and not m.head["flags"] & LAST
    ]
    answer = talk(live, [*scan[:2], *noise, *readouts, Close()])
    assert f"INCOMPLETE ({len(noise) + len(readouts)} readouts)" in images_of(answer)[0].attributes


def test_a_stream_that_breaks_off_is_kept(live: Desk, scan: list[Message]) -> None:
    ours, theirs = socket.socketpair()
    server = Thread(target=serve_client, args=(theirs, live))
    server.start()
    ours.sendall(b"".join(encode(message).raw for message in scan[:-10]))
    ours.close()
    server.join(20)
    (folder,) = live.spool.sessions()
    assert folder.read().state == "incomplete"
    assert folder.raw.is_file()
    assert not folder.images.exists()


def test_a_spent_budget_sends_quick_images_first(live: Desk, scan: list[Message], monkeypatch) -> None:
    from knerve.recon.stream_stages import Stages

    solve = Stages.solve
    is_out = Queue()

    def slowly(*arguments):
        is_out.get(timeout=10)
        return solve(*arguments)

    monkeypatch.setattr(Stages, "solve", slowly)
    seen = []

    def companion(job: Job, take: Callable[[Frame], None]) -> InThisProcess:
        def watch(frame: Frame) -> None:
            take(frame)
            seen.append(frame.kind)
            if seen.count(MessageId.IMAGE) == 2:  # the quick ones are out
                for _ in range(8):
                    is_out.put(None)

        return InThisProcess(job, watch)

    answer = talk(replace(live, read_along=companion, budget_s=0.0), [ConfigFile("cs"), *scan[1:]])
    quick, final = images_of(answer, PREVIEW_SERIES), images_of(answer)
    assert len(quick) == len(final) == 2
    assert all("FALLBACK" in image.attributes and "zero-filled" in image.attributes for image in quick)
    assert all("FALLBACK" not in image.attributes and "knerve cs" in image.attributes for image in final)
    assert isinstance(answer[-1], Close)


def test_a_budget_that_is_kept_changes_nothing(live: Desk, scan: list[Message], expected: np.ndarray) -> None:
    answer = talk(replace(live, budget_s=60.0), scan)
    assert_images(images_of(answer), expected)
    assert images_of(answer, PREVIEW_SERIES) == []


def test_what_begins_at_the_end_is_late(desk: Desk, scan: list[Message]) -> None:
    answer = talk(replace(desk, budget_s=60.0), [ConfigFile("cs"), *scan[1:]])
    kinds = [int(m.head["image_series_index"]) for m in answer if isinstance(m, Image)]
    assert kinds == [PREVIEW_SERIES, PREVIEW_SERIES, 0, 0]


def test_a_real_process_reads_along(desk: Desk, scan: list[Message], expected: np.ndarray, words_of) -> None:
    with closing(Workers(1)) as workers:
        live = replace(desk, reconstruct=workers.run, read_along=workers.read_along)
        for _ in range(2):
            answer = talk(live, scan)
            assert_images(images_of(answer), expected)
            assert "whole scan" not in words_of(answer)
