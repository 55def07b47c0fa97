"""How a command talks: its answer goes to stdout, everything on the way to stderr, every failure to an exit code."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from knerve.datasets.wording import counted
from knerve.recon.errors import KnerveError
from knerve.sequences.errors import ProtocolError

SECONDS_BETWEEN_LINES = 5.0  # of progress, where stderr is a file or a log

UNFOLDED = 1000  # columns where stdout is a file or a pipe: a path must not be folded there


class Terminal:
    """The words of one command; `as_json` turns its answer into exactly one JSON document."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.answered = False
        self._out = Console(highlight=False)
        if not self._out.is_terminal:
            self._out = Console(highlight=False, width=UNFOLDED)
        self._err = Console(stderr=True, highlight=False)
        self._said: set[str] = set()

    def step(self, text: str) -> None:
        """Say what happens next."""
        self._err.print(text, markup=False, soft_wrap=True)

    def notes(self, notes: tuple[str, ...]) -> None:
        """Say every assumption made and problem met, each once; what begins with "Warning:" loudly."""
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                loud = note.startswith("Warning:")
                text, style = (note, "bold red") if loud else (f"Note: {note}", "yellow")
                self._err.print(text, markup=False, style=style, soft_wrap=True)

    def answer(self, document: Mapping[str, object], *parts: RenderableType) -> None:
        """Give the result: `document` under --json, else `parts` for a person."""
        self.answered = True
        if self.as_json:
            print(to_json(document))
            return
        for part in parts:
            self._out.print(part)

    def fail(self, kind: str, message: str, details: Mapping[str, object] | None = None) -> None:
        """Say in one line why there is no result; `details` are for programs."""
        self._err.print(f"Error: {message}", markup=False, style="bold red", soft_wrap=True)
        self.answered = True
        if self.as_json:
            print(to_json({"error": {"kind": kind, "message": message, **(details or {})}}))

    @contextmanager
    def slices(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """Show slices done and time left; yields what the reconstruction calls with (done, total)."""
        if not self._err.is_terminal:
            yield _Lines(what, self.step)
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        with Progress(*columns, TimeElapsedColumn(), console=self._err, transient=True) as bar:
            task = bar.add_task(what, total=None, left="")
            started = time.monotonic()

            def update(done: int, total: int) -> None:
                left = _progress_text(done, total, time.monotonic() - started)
                bar.update(task, completed=done, total=total, left=left)

            yield update


class _Lines:
    """Progress as plain lines, a few seconds apart, the last one always."""

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._what = what
        self._say = say
        self._started = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        self._say(f"{self._what}: {_progress_text(done, total, now - self._started)}")


def _progress_text(done: int, total: int, elapsed_s: float) -> str:
    text = f"{done} of {counted(total, 'slice')}"
    if 0 < done < total:
        text += f", about {math.ceil(elapsed_s / done * (total - done))} s left"
    return text


@contextmanager
def terminal(as_json: bool) -> Iterator[Terminal]:
    """Run one command: exit 1 with one clear line when knerve or the system refuses, 130 when interrupted."""
    talk = Terminal(as_json)
    try:
        yield talk
    except ProtocolError as error:
        talk.fail("ProtocolError", str(error), {"field": error.field, "nearest": error.nearest})
        raise typer.Exit(1) from None
    except (KnerveError, OSError) as error:
        talk.fail(type(error).__name__, str(error))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        talk.fail("KeyboardInterrupt", "interrupted; files that were not finished have been removed.")
        raise typer.Exit(130) from None
    finally:
        if not talk.answered:  # a defect of knerve: its traceback follows
            talk.fail("Defect", "knerve failed in a way it should not; please report the traceback.")


def facts_table(facts: Mapping[str, object]) -> Table:
    """Names and values for a person, one fact a row; a fact made of facts is indented below its name."""
    table = Table.grid(padding=(0, 2))
    for name, value in _rows(facts, indent=""):
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def _rows(facts: Mapping[str, object], indent: str) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        label = indent + str(name).replace("_", " ")
        if isinstance(value, Mapping):
            yield label, ""
            yield from _rows(value, indent + "  ")
        else:
            yield label, _words(value)


def _words(value: object) -> str:
    if value is None or value in ("", (), []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        separator = "\n" if any(isinstance(item, str) for item in value) else ", "
        return separator.join(map(_words, value))
    return str(value)


def to_json(document: Mapping[str, object]) -> str:
    """One strict JSON document: paths as text, NaN and infinity as null."""
    return json.dumps(_plain(document), indent=2, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
