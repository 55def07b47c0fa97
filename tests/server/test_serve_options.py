"""Options of `knerve serve` that cannot be meant are refused before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from knerve.cli import app


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--tls-cert", "a.pem"), 2, "belong together"),
        (("--tls-key", "a.pem"), 2, "belong together"),
        (("--tls-client-ca", "a.pem"), 2, "needs both"),
        (("--tls-cert", "a.pem", "--tls-key", "a.key"), 1, "Give PEM files that belong together"),
        (("--store", "PACS"), 1, "A DICOM receiver is named AE@HOST:PORT"),
        (("--quota-gib", "-1"), 2, "--quota-gib"),
        (("--drain", "-1"), 2, "--drain"),
    ],
)
def test_wrong_options_are_said(
    options: tuple[str, ...], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(app, ("serve", "--port", "0", *options), env={"COLUMNS": "300"})
    assert run.exit_code == code, run.output
    assert words in run.output
    assert list(tmp_path.iterdir()) == []
