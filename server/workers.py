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
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, LifoQueue
from threading import Lock, Thread, Timer

from knerve.server.errors import StoppedError, WireError, WorkerError
from knerve.server.framing import Frame, read_frame
from knerve.server.job import ALL, MORE, NO_MORE, Job
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
        self._free: LifoQueue[_Worker] = LifoQueue()  # the last one remembers the coils of the last scan
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
            self._revive(worker)
            worker.begin(job)
            worker.limit(self._longest_job_s)
            yield from worker.answers()
            is_done = True
        except WorkerError as failure:
            if self._is_closed:
                raise StoppedError(
                    "The server is being stopped; it goes on with the raw data when it starts again."
                ) from failure
            raise
        finally:
            self._give_back(worker, is_done)

    def read_along(self, job: Job, take: Callable[[Frame], None]) -> Companion | None:
        """Begin a job whose session is still being received; None where no process is free.

        Args:
            job: that reads along.
            take: called with its TEXT and IMAGE messages as they come, in a thread of its own.
        """
        try:
            worker = self._free.get_nowait()
        except Empty:
            return None
        self._revive(worker)
        return Companion(worker, job, take, self._longest_job_s, self._give_back)

    def close(self) -> None:
        """End all processes, jobs or not."""
        self._is_closed = True
        for worker in self._all:
            worker.end()

    def _revive(self, worker: _Worker) -> None:
        """Put another process in the place of one that died while it waited, for want of memory say."""
        if worker.has_died() and not self._is_closed:
            worker.end()
            with contextlib.suppress(OSError):  # no room for a process now: the job tells
                worker.start()

    def _give_back(self, worker: _Worker, is_sound: bool) -> None:
        """Let others have a process, or another one in its place."""
        if not is_sound and not self._is_closed:
            worker.end()
            with contextlib.suppress(OSError):  # no room for a process now: the next job tells
                worker.start()
        self._free.put(worker)


class Companion:
    """A process that reconstructs a session while the session is received."""

    def __init__(
        self,
        worker: _Worker,
        job: Job,
        take: Callable[[Frame], None],
        longest_s: float,
        give_back: Callable[[_Worker, bool], None],
    ) -> None:
        """Begin; see `Workers.read_along`."""
        self._worker, self._take, self._longest_s, self._give_back = worker, take, longest_s, give_back
        self._failure: WorkerError | None = None
        self._lock = Lock()
        self._is_finishing = False
        self._is_over = False  # the process may be at another job already
        worker.begin(job)
        self._thread = Thread(target=self._answer, name="companion", daemon=True)
        self._thread.start()

    def ring(self) -> None:
        """Say that there is more in the journal; never waits."""
        with self._lock:
            if not self._is_over:
                self._worker.ring(MORE)

    def finish(self, *, is_complete: bool, first_s: float | None = None) -> None:
        """Say that the session has ended, and wait for the rest of the answer.

        Args:
            is_complete: whether all was received; a scan that was broken off is not reconstructed.
            first_s: a process that says nothing for so long is given up.

        Raises:
            WorkerError: the process died or took too long; what it had answered was taken.
        """
        with self._lock:
            if not self._is_over:
                self._is_finishing = True
                self._worker.limit(self._longest_s if first_s is None else first_s)
                self._worker.ring(ALL if is_complete else NO_MORE)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _answer(self) -> None:
        is_sound = False
        try:
            for frame in self._worker.answers():
                self._take(frame)
                with self._lock:
                    if self._is_finishing:
                        self._worker.limit(self._longest_s)
            is_sound = True
        except WorkerError as failure:
            self._failure = failure
        finally:
            with self._lock:
                self._is_over = True
                self._worker.lift_limit()
            self._give_back(self._worker, is_sound)


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

    def has_died(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def begin(self, job: Job) -> None:
        """Hand over a job; whether the process lives is told by `answers`."""
        self._too_late: Timer | None = None
        jobs = self._process.stdin
        assert jobs is not None, "a pipe was asked for"
        os.set_blocking(jobs.fileno(), True)
        with contextlib.suppress(OSError, ValueError):  # broken or closed: no answer will come
            jobs.write(job.as_json().encode() + b"\n")
            jobs.flush()

    def ring(self, bell: bytes) -> None:
        """Send a byte behind a job; where there is no room, the process has bells enough."""
        jobs = self._process.stdin
        assert jobs is not None, "a pipe was asked for"
        with contextlib.suppress(OSError, ValueError):
            os.set_blocking(jobs.fileno(), bell != MORE)
            os.write(jobs.fileno(), bell)

    def limit(self, longest_s: float) -> None:
        """Give up the job unless it is done after so long."""
        self.lift_limit()
        self._longest_s = longest_s
        self._too_late = Timer(longest_s, self._process.kill)
        self._too_late.daemon = True
        self._too_late.start()

    def lift_limit(self) -> None:
        """Let the job take as long as it takes."""
        if self._too_late is not None:
            self._too_late.cancel()

    def answers(self) -> Iterator[Frame]:
        """What the process answers to its job.

        Raises:
            WorkerError: it died or took too long.
        """
        answers = self._process.stdout
        assert answers is not None, "a pipe was asked for"
        try:
            while (frame := read_frame(answers, OWN_LIMITS)) is not None:
                if frame.kind == MessageId.CLOSE:
                    return
                yield frame
            raise WorkerError(self._why_it_died())
        except (OSError, ValueError, WireError) as error:  # a broken or closed pipe, or half a message in it
            raise WorkerError(self._why_it_died()) from error
        finally:
            self.lift_limit()

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                with contextlib.suppress(OSError):  # words that were never sent
                    pipe.close()

    def _why_it_died(self) -> str:
        if self._too_late is not None and not self._too_late.is_alive():
            return (
                f"The reconstruction was not done within {self._longest_s:g} s and was given up; the raw data are kept."
            )
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
