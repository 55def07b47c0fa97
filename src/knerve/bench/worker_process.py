"""The benchmark's side of a worker: starts it, asks it, ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from threading import Timer
from types import TracebackType
from typing import Any

import numpy as np

from knerve.bench.case_files import CaseFiles
from knerve.bench.child_process import last_words
from knerve.bench.errors import MethodFailedError
from knerve.bench.methods import Magnitude, Measured, Method, Setting

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
LONGEST_ANSWER_S = 1800.0


class WorkerProcess:
    """One method, waiting in its own process; a context manager that leaves no process behind."""

    def __init__(
        self, method: Method, files: CaseFiles, n_threads: int, longest_answer_s: float = LONGEST_ANSWER_S
    ) -> None:
        self.method = method
        self._longest_answer_s = longest_answer_s
        self._image = files.folder / f"{method.name}.npy"
        self._log = files.folder / f"{method.name}.txt"
        threads = dict.fromkeys(THREAD_VARIABLES, str(n_threads))
        command = (sys.executable, "-P", "-m", "knerve.bench.worker", method.home, method.name)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                (*command, str(files.folder), str(n_threads)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **method.environment, **threads},
                start_new_session=True,  # so that its children can be ended with it
            )

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the process and its children."""
        if self._process.poll() is None:
            self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # a question that nobody read
                    pipe.close()

    def run(self, setting: Setting | None) -> tuple[Magnitude, Measured]:
        """Let it reconstruct once; the image (y, x).

        Raises:
            MethodFailedError: it crashed or hung.
        """
        answer = self._ask({"setting": None if setting is None else asdict(setting)})
        return self._read_image(), Measured(**answer)

    def curve(self, weight: float, iterations: Sequence[int]) -> Magnitude:
        """The images (iteration, y, x) after each of these numbers of iterations.

        Raises:
            MethodFailedError: it crashed or hung.
        """
        self._ask({"weight": weight, "iterations": list(iterations)})
        return self._read_image()

    def _ask(self, question: Mapping[str, object]) -> dict[str, Any]:
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None, "a pipe was asked for"
        assert answers is not None, "a pipe was asked for"
        too_late = Timer(self._longest_answer_s, self._kill)
        too_late.start()
        try:
            questions.write(json.dumps({**question, "image": str(self._image)}) + "\n")
            questions.flush()
            line = answers.readline()
        except BrokenPipeError:
            line = ""
        finally:
            hung = not too_late.is_alive()
            too_late.cancel()
        if not line:
            raise MethodFailedError(self._why(hung=hung))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _why(self, *, hung: bool) -> str:
        """Why there is no answer."""
        code = self._process.wait()
        if hung:
            return f"it did not answer within {self._longest_answer_s:g} s and was ended."
        if code < 0:
            return f"its process was ended from outside ({signal.Signals(-code).name}), for lack of memory perhaps."
        return f"its process ended: {last_words(self._log, n_lines=1)}"

    def _read_image(self) -> Magnitude:
        image: Magnitude = np.load(self._image)
        return image

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
