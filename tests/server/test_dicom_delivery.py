"""Images reach every receiver once, whichever side is restarted; Debian's `storescp` (dcmtk) receives."""

from __future__ import annotations

import gc
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from knerve.datasets.mrd_file import read_mrd
from knerve.recon.images import ImageSeries
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings
from knerve.server.deliveries import FILE_NAME, Deliveries
from knerve.server.desk import Desk
from knerve.server.dicom_peer import Peer, peer_of
from knerve.server.dicom_sender import Sender
from knerve.server.errors import ServerError, SpoolError
from knerve.server.messages import Message
from knerve.server.session_dicom import keep_dicom
from knerve.server.spool import SessionFolder, SessionRecord, Spool

# pynetdicom leaves the socket of a connection that failed to the garbage collector: here, not in the middle of a later test
pytestmark = pytest.mark.filterwarnings(r"ignore:.*socket\.socket:pytest.PytestUnraisableExceptionWarning")

STARTED = "2026-11-21T12:00:00Z"
NOWHERE = Peer("PACS", "127.0.0.1", 1)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def images(raw_file: Path) -> ImageSeries:
    return reconstruct(read_mrd(raw_file), Settings(method="zero-filled"))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path / "outgoing")) as spool:
        yield spool


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (knerve[server])")
    if shutil.which("storescp") is None:
        pytest.skip("storescp is not installed (Debian: dcmtk)")
    monkeypatch.setattr("knerve.server.dicom_sender.FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr("knerve.server.dicom_sender.LONGEST_PAUSE_S", 0.2)
    (tmp_path / "received").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        return Peer("PACS", "127.0.0.1", free.getsockname()[1])


@contextmanager
def _receiving(peer: Peer, folder: Path, *options: str) -> Iterator[None]:
    """A receiver that notes each file it is sent, again or not."""
    note = f"echo #f >> {folder / 'received.log'}"
    command = ("storescp", "--output-directory", str(folder), "--exec-on-reception", note, "--exec-sync", *options)
    with subprocess.Popen((*command, str(peer.port)), stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def _ended(spool: Spool, images: ImageSeries, description: str = "") -> SessionFolder:
    """A session that ends with these images."""
    folder = spool.new_session()
    header = replace(images.header, series_description=description)
    keep_dicom(replace(images, header=header), folder)
    folder.write(SessionRecord("done", STARTED))
    return folder


def _uids(*folders: SessionFolder) -> list[str]:
    return sorted(f"MR.{dcmread(path).SOPInstanceUID}" for folder in folders for path in folder.dicom.iterdir())


def _received(folder: Path) -> list[str]:
    log = folder / "received.log"
    return sorted(log.read_text().split()) if log.exists() else []


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    assert holds()


def test_images_reach_a_receiver(spool: Spool, images: ImageSeries, receiver: Peer, tmp_path: Path) -> None:
    received = tmp_path / "received"
    with closing(Deliveries(spool, [receiver])) as deliveries, _receiving(receiver, received):
        with closing(Sender(deliveries, receiver)):
            first = _ended(spool, images, "first")
            _until(lambda: _received(received) == _uids(first))
            second = _ended(spool, images, "second")
            _until(lambda: _received(received) == _uids(first, second))
        assert deliveries.waiting(receiver) == []
        assert not deliveries.is_waiting(first.name)
    original = dcmread(first.dicom / "slice_000.dcm")
    copy = dcmread(received / f"MR.{original.SOPInstanceUID}")
    assert copy == original


def test_restarts_lose_nothing_and_repeat_nothing(
    spool: Spool, images: ImageSeries, receiver: Peer, tmp_path: Path
) -> None:
    received = tmp_path / "received"
    with closing(Deliveries(spool, [receiver])) as deliveries:
        first = _ended(spool, images, "nobody listens")
        with closing(Sender(deliveries, receiver)):
            time.sleep(0.3)
            with _receiving(receiver, received):
                _until(lambda: _received(received) == _uids(first))
                _until(lambda: not deliveries.waiting(receiver))
            second = _ended(spool, images, "the receiver was killed")
            time.sleep(0.3)
        assert deliveries.count("waiting") == {str(receiver): 2}
    with closing(Deliveries(spool, [receiver])) as deliveries, _receiving(receiver, received):  # our restart
        with closing(Sender(deliveries, receiver)):
            _until(lambda: not deliveries.waiting(receiver))
        with closing(Sender(deliveries, receiver)):
            time.sleep(0.3)
    assert _received(received) == _uids(first, second)


def test_a_receiver_of_implicit_values_only_is_served(
    spool: Spool, images: ImageSeries, receiver: Peer, tmp_path: Path
) -> None:
    received = tmp_path / "received"
    with (
        closing(Deliveries(spool, [receiver])) as deliveries,
        _receiving(receiver, received, "--prefer-lossless", "+xi"),
    ):
        folder = _ended(spool, images)
        with closing(Sender(deliveries, receiver)):
            _until(lambda: _received(received) == _uids(folder))
    copy = dcmread(next(received.glob("MR.*")))
    assert copy.file_meta.TransferSyntaxUID.is_implicit_VR


def test_a_receiver_that_refuses_us_is_asked_again(
    spool: Spool, images: ImageSeries, receiver: Peer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        closing(Deliveries(spool, [receiver])) as deliveries,
        _receiving(receiver, tmp_path / "received", "--refuse"),
        closing(Sender(deliveries, receiver)),
    ):
        folder = _ended(spool, images)
        _until(lambda: "The receiver refuses us. Tried again in" in caplog.text)
        assert deliveries.is_waiting(folder.name)


def test_a_file_that_is_gone_holds_up_nothing(
    spool: Spool, images: ImageSeries, receiver: Peer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    received = tmp_path / "received"
    with closing(Deliveries(spool, [receiver])) as deliveries, _receiving(receiver, received):
        folder = _ended(spool, images)
        (folder.dicom / "slice_000.dcm").unlink()
        with closing(Sender(deliveries, receiver)):
            _until(lambda: _received(received) == _uids(folder))
            _until(lambda: not deliveries.waiting(receiver))
    assert "slice_000.dcm was not delivered" in caplog.text


def test_files_are_entered_before_the_session_is_done(spool: Spool, images: ImageSeries) -> None:
    with closing(Deliveries(spool, [NOWHERE])) as deliveries:
        folder = spool.new_session()
        folder.write(SessionRecord("reconstructing", STARTED))
        keep_dicom(images, folder)
        before = _uids(folder)
        assert deliveries.waiting(NOWHERE) == []
        seen = []
        spool.observers.before_end.append(
            lambda folder, _: seen.append((folder.read().state, deliveries.count("waiting")))
        )
        folder.write(SessionRecord("done", STARTED))
        assert seen == [("reconstructing", {str(NOWHERE): 2})]
        keep_dicom(replace(images, method="cs"), folder)  # recovered after a crash just here
        folder.write(SessionRecord("done", STARTED))
        assert deliveries.count("waiting") == {str(NOWHERE): 2}
        assert _uids(folder) == before
        deliveries.note(deliveries.waiting(NOWHERE)[0], NOWHERE, "sent")
        folder.write(SessionRecord("done", STARTED))
        assert deliveries.count("waiting") == {str(NOWHERE): 1}
        assert deliveries.is_waiting(folder.name)
        folder.remove()
        assert deliveries.waiting(NOWHERE) == []


def test_failed_sessions_send_nothing(spool: Spool, images: ImageSeries) -> None:
    with closing(Deliveries(spool, [NOWHERE])) as deliveries:
        folder = spool.new_session()
        keep_dicom(images, folder)
        folder.write(SessionRecord("failed", STARTED))
        assert deliveries.waiting(NOWHERE) == []


def test_a_damaged_list_sends_all_again(spool: Spool, images: ImageSeries, caplog: pytest.LogCaptureFixture) -> None:
    folder = _ended(spool, images)
    (spool.path / FILE_NAME).write_bytes(b"no database, " * 100)
    with closing(Deliveries(spool, [NOWHERE])) as deliveries:
        assert [delivery.session for delivery in deliveries.waiting(NOWHERE)] == [folder.name] * 2
    assert "all images are sent again" in caplog.text


def test_a_list_that_fails_keeps_the_session_open(spool: Spool, images: ImageSeries) -> None:
    deliveries = Deliveries(spool, [NOWHERE])
    folder = spool.new_session()
    folder.write(SessionRecord("reconstructing", STARTED))
    keep_dicom(images, folder)
    deliveries.close()
    with pytest.raises(SpoolError, match=r"The list of deliveries, deliveries.sqlite .* cannot be used"):
        folder.write(SessionRecord("done", STARTED))
    assert folder.read().state == "reconstructing"


def test_a_session_over_the_wire_is_delivered(desk: Desk, ask, scan: list[Message], images: ImageSeries) -> None:
    def with_dicom(job):
        keep_dicom(images, SessionFolder(Path(job.folder)))
        return desk.reconstruct(job)

    with closing(Deliveries(desk.spool, [NOWHERE])) as deliveries:
        ask(*scan, reconstruct=with_dicom)
        (folder,) = desk.spool.sessions()
        assert [delivery.path.name for delivery in deliveries.waiting(NOWHERE)] == ["slice_000.dcm", "slice_001.dcm"]
        assert folder.read().state == "done"


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("PACS@10.0.0.5:104", Peer("PACS", "10.0.0.5", 104)),
        ("MY PACS@[::1]:11112", Peer("MY PACS", "::1", 11112)),
        ("A@pacs.example:1", Peer("A", "pacs.example", 1)),
    ],
)
def test_receivers_are_named(text: str, peer: Peer) -> None:
    assert peer_of(text) == peer
    assert str(peer) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PACS",
        "PACS@host",
        "@host:104",
        "PACS@:104",
        "PACS@host:0",
        "A\\B@h:1",
        " A@h:1",
        "A" * 17 + "@h:1",
        "Ä@h:1",
    ],
)
def test_wrong_names_are_said(text: str) -> None:
    with pytest.raises(ServerError, match="A DICOM receiver is named AE@HOST:PORT"):
        peer_of(text)
