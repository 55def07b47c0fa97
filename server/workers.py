"""Processes that reconstruct, kept warm: importing torch and loading compiled kernels must not happen while somebody waits.

A worker does one job at a time and as many jobs as it survives. One that dies or hangs fails its job only: another takes its
place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Timer

from knerve.server.errors import StoppedError, WireError, WorkerError
from knerve.server.framing import Frame, read_frame
from knerve.server.job import Job
from knerve.server.limits import MIB, Limits
from knerve.server.messages import MessageId

COMMAND = (sys.executable, "-P", "-m", "knerve.server.worker")
LONGEST_JOB_S = 600.0
LONGEST_DEATH_S = 5.0
N_WORKERS = 2
OWN_LIMITS = Limits(text_bytes=64 * MIB, image_bytes=16384 * MIB)  # what our own process sends
LAST_WORDS_BYTES = 2000


class Workers:
    """A few warm processes; more jobs than processes wait for their turn."""

    def __init__(self, n_workers: int = N_WORKERS, longest_job_s: float = LONGEST_JOB_S) -> None:
        """Start the processes, without waiting for them to be warm."""
        self._longest_job_s = longest_job_s
        self._is_closed = False
        self._all = tuple(_Worker() for _ in range(n_workers))
        self._free: Queue[_Worker] = Queue()
        for worker in self._all:
            self._free.put(worker)

    def run(self, job: Job) -> Iterator[Frame]:
        """Do a job; its TEXT and IMAGE messages as they come.

        Raises:
            WorkerError: the process died or took too long.
        """
        worker = self._free.get()
        is_done = False
        try:
            yield from worker.run(job, self._longest_job_s)
            is_done = True
        except WorkerError as failure:
            if self._is_closed:
                raise StoppedError(
                    "The server is being stopped; it goes on with the raw data when it starts again."
                ) from failure
            raise
        finally:
            if not is_done and not self._is_closed:
                worker.end()
                with contextlib.suppress(OSError):  # no room for a process now: the next job tells
                    worker.start()
            self._free.put(worker)

    def close(self) -> None:
        """End all processes, jobs or not."""
        self._is_closed = True
        for worker in self._all:
            worker.end()


class _Worker:
    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the process."""
        descriptor, path = tempfile.mkstemp()
        Path(path).unlink()  # gone when the last who holds it is gone
        self._said = os.fdopen(descriptor, "rb")
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is for the server, which ends its workers itself
        )

    def run(self, job: Job, longest_s: float) -> Iterator[Frame]:
        """Do one job."""
        jobs, answers = self._process.stdin, self._process.stdout
        assert jobs is not None, "a pipe was asked for"
        assert answers is not None, "a pipe was asked for"
        too_late = Timer(longest_s, self._process.kill)
        too_late.daemon = True
        too_late.start()
        try:
            jobs.write(job.as_json().encode() + b"\n")
            jobs.flush()
            while (frame := read_frame(answers, OWN_LIMITS)) is not None:
                if frame.kind == MessageId.CLOSE:
                    return
                yield frame
            raise WorkerError(self._why_it_died(too_late, longest_s))
        except (OSError, ValueError, WireError) as error:  # a broken or closed pipe, or half a message in it
            raise WorkerError(self._why_it_died(too_late, longest_s)) from error
        finally:
            too_late.cancel()

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                with contextlib.suppress(OSError):  # words that were never sent
                    pipe.close()

    def _why_it_died(self, too_late: Timer, longest_s: float) -> str:
        if not too_late.is_alive():
            return f"The reconstruction was not done within {longest_s:g} s and was given up; the raw data are kept."
        try:
            code = self._process.wait(LONGEST_DEATH_S)
        except subprocess.TimeoutExpired:
            return "The process that reconstructs sent what is no answer. The raw data are kept; please report this."
        how = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        said = f"; its last words: {words}" if (words := self._last_words()) else ""
        return f"The process that reconstructs {how}{hint}{said}. The raw data are kept; please report this."

    def _last_words(self) -> str:
        if self._said.closed:
            return ""
        end = self._said.seek(0, 2)
        self._said.seek(max(0, end - LAST_WORDS_BYTES))
        lines = self._said.read().decode("utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
