"""Runs a program with the clock running and asks the system what it took."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knerve.bench.errors import MethodFailedError

RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Child:
    """What one process took; a process started from a large one counts that one's memory as its own peak."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run_child(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
    """Run a command to its end, its words going to `log`.

    Raises:
        MethodFailedError: it ends with an error; the text holds its last words.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    words = [(os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
    started = time.perf_counter()
    process = os.posix_spawnp(command[0], list(command), dict(environment), file_actions=words)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise MethodFailedError(f"{' '.join(map(shorter, command))} ended with {code}: {last_words(log)}")
    return Child(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT_BYTES)


def shorter(argument: str) -> str:
    """An argument of a command without the folders of a file."""
    return Path(argument).name if os.sep in argument else argument


def last_words(log: Path, n_lines: int = 3) -> str:
    """The last lines that a process wrote."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-n_lines:]) or "no word why"
