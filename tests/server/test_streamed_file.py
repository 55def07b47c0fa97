"""`knerve recon --stream`, and `knerve recon` of a session that the server kept."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from typer.testing import CliRunner

from knerve.cli import app
from knerve.datasets.reading import read_raw
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings
from knerve.server.journal import JournalWriter
from knerve.server.messages import Message
from knerve.server.spool import Spool
from knerve.server.streamed_file import reconstruct_streamed
from knerve.server.wire import encode

ALLOWED = 1e-3  # noise standard deviations


def _recon(*arguments: str) -> tuple[dict, str]:
    result = CliRunner().invoke(app, ["recon", *arguments, "--format", "mrd", "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


def test_streamed_images_are_those_of_the_whole_file(raw_file: Path) -> None:
    seen: list[tuple[int, int]] = []
    streamed = reconstruct_streamed(raw_file, Settings(), on_slices_done=lambda *done: seen.append(done))
    whole = reconstruct(read_raw(raw_file), Settings())
    torch.testing.assert_close(streamed.image, whole.image, rtol=0, atol=ALLOWED)
    torch.testing.assert_close(streamed.noise_level, whole.noise_level, rtol=0, atol=ALLOWED)
    assert streamed.frames == whole.frames
    assert seen == [(n + 1, whole.n_slices) for n in range(whole.n_slices)]


def test_the_command_streams_and_says_where_it_cannot(raw_file: Path, tmp_path: Path) -> None:
    told, _ = _recon(str(raw_file), "--out", str(tmp_path / "streamed"), "--stream")
    assert "arrival" in told["seconds"]
    cfl = tmp_path / "slice"
    kspace = read_raw(raw_file).kspace[0].permute(2, 1, 0)[:, :, None].numpy()
    cfl.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, kspace.shape)) + "\n", encoding="utf-8")
    np.asfortranarray(kspace).ravel(order="F").tofile(cfl.with_suffix(".cfl"))
    told, words = _recon(str(cfl.with_suffix(".cfl")), "--out", str(tmp_path / "cfl"), "--stream")
    assert "arrival" not in told["seconds"]
    assert "--stream takes ISMRMRD files" in words


def test_the_command_reads_what_the_server_kept(scan: list[Message], tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as spool:
        folder = spool.new_session()
        with JournalWriter(folder.journal) as journal:
            for message in scan:
                journal.append(encode(message))
    for number, path in enumerate((folder.path, folder.journal)):
        told, _ = _recon(str(path), "--out", str(tmp_path / f"kept{number}"))
        assert Path(told["out"], "images.h5").is_file()
