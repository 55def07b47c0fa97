"""The folder that a benchmark writes: report, figure, history. What an earlier benchmark left there is carried on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from knerve.datasets.staged_output import FILES_KEY, MARKER_FILE, MARKER_KEY, check_target, staged_directory

FIGURE_FILE, HISTORY_FILE = "bench.png", "history.jsonl"
Document = Mapping[str, Any]


class BenchFolder:
    """One folder; all of it is replaced at once, or nothing.

    Attributes:
        path: where it is.
        report: what `report.json` holds, without the list of files; empty where there is none.
        history: text of the JSON lines.
        figure: the PNG, empty where there is none.
    """

    def __init__(self, path: Path) -> None:
        """Look at the folder.

        Raises:
            OutputError: it cannot be written, or holds files that knerve did not write.
        """
        check_target(path)
        self.path = path
        self.report: dict[str, Any] = _report(path / MARKER_FILE)
        self.history = (path / HISTORY_FILE).read_text(encoding="utf-8") if (path / HISTORY_FILE).is_file() else ""
        self.figure = (path / FIGURE_FILE).read_bytes() if (path / FIGURE_FILE).is_file() else b""

    def publish(self) -> None:
        """Write what the attributes hold now.

        Raises:
            OutputError: the disk is full, or the folder cannot be written any more.
        """
        with staged_directory(self.path) as folder:
            (folder / HISTORY_FILE).write_text(self.history, encoding="utf-8")
            if self.figure:
                (folder / FIGURE_FILE).write_bytes(self.figure)
            files = sorted({MARKER_FILE, *(file.name for file in folder.iterdir())})
            document = {MARKER_KEY: 1, **self.report, FILES_KEY: files}
            (folder / MARKER_FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _report(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    document: dict[str, Any] = json.loads(file.read_bytes())
    return {name: value for name, value in document.items() if name not in (MARKER_KEY, FILES_KEY)}
