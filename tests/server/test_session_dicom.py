"""Every session leaves its images as DICOM files too, whichever way they were made; Debian's `dciodvfy` finds no error."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from pydicom import dcmread

from knerve.server.desk import Desk
from knerve.server.listener import Listener
from knerve.server.messages import Image, Message, Text
from knerve.server.spool import SessionFolder
from knerve.server.wire import encode, read_messages
from knerve.server.workers import Workers


def _errors(path: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    said = subprocess.run(("dciodvfy", path), capture_output=True, text=True, check=False)
    return [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]


def _require_files(folder: SessionFolder, images: list[Message]) -> None:
    files = sorted(folder.dicom.iterdir())
    assert [path.name for path in files] == ["slice_000.dcm", "slice_001.dcm"]
    by_number = sorted((image for image in images if isinstance(image, Image)), key=lambda one: int(one.head["slice"]))
    for path, image in zip(files, by_number, strict=True):
        found = dcmread(path)
        pixels = found.pixel_array * float(found.RescaleSlope)
        assert pixels == pytest.approx(image.pixels[0, 0], abs=float(found.RescaleSlope))
        assert _errors(path) == []


def test_a_scan_that_is_reconstructed_as_a_whole(
    desk: Desk, ask: Callable[..., list[Message]], scan: list[Message]
) -> None:
    answer = ask(*scan)
    _require_files(desk.spool.sessions()[0], answer)


def test_a_scan_that_is_reconstructed_while_it_arrives(desk: Desk, scan: list[Message]) -> None:
    with (
        closing(Workers(1)) as workers,
        closing(Listener(replace(desk, read_along=workers.read_along, reconstruct=workers.run), port=0)) as listener,
    ):
        Thread(target=listener.serve, daemon=True).start()
        with socket.create_connection(("127.0.0.1", listener.port), 20) as client, client.makefile("rb") as answers:
            client.sendall(b"".join(encode(message).raw for message in scan))
            answer = list(read_messages(answers))
    assert any("images made; they are being written" in m.text for m in answer if isinstance(m, Text))
    _require_files(desk.spool.sessions()[0], answer)
