"""A raw file played to a server by its time stamps."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import h5py
import numpy as np
import pytest

from knerve.recon.errors import RawDataError
from knerve.server.desk import Desk
from knerve.server.errors import ReplayError
from knerve.server.image_file import image_messages, write_images
from knerve.server.journal import JournalReader
from knerve.server.listener import Listener
from knerve.server.messages import IMAGE_HEAD, Image, Message
from knerve.server.replay import replay
from knerve.server.wire import encode


@pytest.fixture
def port(desk: Desk) -> Iterator[int]:
    with closing(Listener(desk, port=0)) as listener:
        Thread(target=listener.serve, daemon=True).start()
        yield listener.port


def _with_stamps(raw_file: Path, path: Path, factor: float) -> Path:
    shutil.copy(raw_file, path)
    with h5py.File(path, "r+") as file:
        records = file["dataset/data"][()]
        records["head"]["acquisition_time_stamp"] = records["head"]["acquisition_time_stamp"] * factor
        file["dataset/data"][...] = records
    return path


def test_readouts_go_out_as_they_stand_in_the_file(port: int, desk: Desk, raw_file: Path, scan: list[Message]) -> None:
    replayed = replay(raw_file, "127.0.0.1", port, config="zero-filled")
    assert replayed.is_closed
    assert (replayed.n_readouts, len(replayed.images)) == (len(scan) - 3, 2)
    (folder,) = desk.spool.sessions()
    assert list(JournalReader(folder.journal)) == [encode(message) for message in scan]


def test_real_time_takes_as_long_as_the_scan(port: int, raw_file: Path, tmp_path: Path) -> None:
    stamps = 1800 // 20  # the last of the file
    quick = _with_stamps(raw_file, tmp_path / "quick.h5", 1 / 20)
    replayed = replay(quick, "127.0.0.1", port, config="zero-filled", real_time=True)
    assert stamps * 2.5e-3 <= replayed.seconds_sending < stamps * 2.5e-3 + 5
    assert min(replayed.seconds_to_images) > 0


def test_a_file_without_time_stamps_is_sent_at_once(port: int, raw_file: Path, tmp_path: Path) -> None:
    timeless = _with_stamps(raw_file, tmp_path / "timeless.h5", 0)
    replayed = replay(timeless, "127.0.0.1", port, config="zero-filled", real_time=True)
    assert replayed.notes == ("All readouts bear the same time stamp; they were sent at once.",)
    assert len(replayed.images) == 2


def test_images_come_back_from_their_file(port: int, raw_file: Path, tmp_path: Path) -> None:
    images = replay(raw_file, "127.0.0.1", port, config="zero-filled").images
    write_images(images, tmp_path / "images.h5")
    again = list(image_messages(tmp_path / "images.h5"))
    assert [encode(image) for image in again] == [encode(image) for image in images]


def test_images_of_other_shapes_do_not_spoil_a_series(tmp_path: Path) -> None:
    head = np.zeros(1, IMAGE_HEAD)[0]
    shapes = ((1, 1, 2, 3), (1, 1, 4, 3), (1, 1, 2, 3))
    images = [Image(head, "", np.zeros(shape, np.complex64)) for shape in shapes]
    write_images(images, tmp_path / "images.h5")
    with h5py.File(tmp_path / "images.h5") as file:
        assert file["dataset/image_0/data"].shape == (2, 1, 1, 2, 3)
        assert file["dataset/image_0_part_2/data"].shape == (1, 1, 1, 4, 3)
        assert file["dataset/image_0/data"].dtype.names == ("real", "imag")


def test_no_server_and_no_file_are_told(raw_file: Path, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ReplayError, match=rf"No server answers at 127.0.0.1:{port} .*knerve serve"):
        replay(raw_file, "127.0.0.1", port)
    with pytest.raises(RawDataError, match="is not there"):
        replay(tmp_path / "nothing.h5", "127.0.0.1", port)


def test_a_server_that_breaks_off_is_told(raw_file: Path) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"\x05\x00\x04\x00\x00\x00no!!" + b"\x63\x63")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        Thread(target=answer, args=(server,), daemon=True).start()
        with pytest.raises(ReplayError, match=r"answer broke off: Message id 25443 .* Its last words: no!!"):
            replay(raw_file, "127.0.0.1", server.getsockname()[1])
