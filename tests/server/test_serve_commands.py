"""`knerve serve` and `knerve replay` together, as a user runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from knerve.datasets.mrd_file import read_mrd
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings

KNERVE = (sys.executable, "-P", "-c", "from knerve.cli import main; main()")


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*KNERVE, *map(str, arguments)), capture_output=True, text=True, timeout=60, check=False)


def test_a_file_played_to_a_server_comes_back_as_images(raw_file: Path, tmp_path: Path) -> None:
    server = subprocess.Popen(
        (*KNERVE, "serve", "--port", "0", "--spool", str(tmp_path / "spool")),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stderr is not None
    with server.stderr:
        port = re.search(r"Listening on 127.0.0.1:(\d+)", server.stderr.readline())[1]
        address = f"127.0.0.1:{port}"
        out = tmp_path / "out"
        played = _run("replay", raw_file, "--to", address, "--out", out, "--config", "zero-filled", "--json")
        server.send_signal(signal.SIGINT)
        said = server.stderr.read()
        assert server.wait(20) == 0, said
    assert played.returncode == 0, played.stderr
    document = json.loads(played.stdout)
    assert document["images"] == 2
    assert document["closed_by_server"]
    assert "done, " in said
    with h5py.File(out / "images.h5") as file:
        order = np.argsort(file["dataset/image_0/header"]["image_index"])  # they come as they are finished
        pixels = file["dataset/image_0/data"][:, 0, 0][order]
    expected = reconstruct(read_mrd(raw_file), Settings(method="zero-filled")).magnitude.numpy()
    np.testing.assert_allclose(pixels, expected, rtol=1e-5)


@pytest.mark.parametrize("address", ["9002", "host:", "host:99999", "host:x"])
def test_wrong_addresses_are_wrong_usage(address: str, raw_file: Path) -> None:
    run = _run("replay", raw_file, "--to", address)
    assert run.returncode == 2
    assert "--to takes HOST:PORT" in run.stderr
