"""The process in which scans are reconstructed: `python -m knerve.server.worker`.

It is told what to do in lines of JSON on stdin and answers each on stdout with MRD messages, TEXT and IMAGE, up to a CLOSE,
until stdin ends. Behind the line of a job that reads along come its bells. Whatever else is printed goes to stderr. A crash
ends this process and leaves the server as it was.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import IO

import knerve.recon.pipeline
from knerve.datasets.mrd_file import read_mrd
from knerve.datasets.wording import counted
from knerve.recon.errors import CalibrationError, KnerveError
from knerve.recon.images import RESEARCH_USE, ImageSeries
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings
from knerve.recon.stream_memory import CoilMemory
from knerve.server.image_file import image_messages
from knerve.server.job import PREVIEW_SERIES, Job
from knerve.server.messages import Close, Message
from knerve.server.pipelines import PIPELINES
from knerve.server.raw_file import write_raw_file
from knerve.server.session_dicom import keep_dicom
from knerve.server.spoken import error, info, warning
from knerve.server.spool import SessionFolder
from knerve.server.stream_images import QUICK_METHOD, fallback, final_series, keep_images, labelled, numbered, of_series
from knerve.server.stream_job import read_along
from knerve.server.wire import encode

FIRST_TO_GO = "1000"  # when memory runs out, the system ends this process before the server
BELLS_AT_ONCE = 1 << 16


def main() -> None:
    """Answer until there is nothing more to do."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    with os.fdopen(os.dup(0), "rb") as jobs, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # libraries print where they like
        serve(jobs, answers)


def serve(jobs: BufferedReader, answers: IO[bytes]) -> None:
    """Do each job and answer it."""
    lock, memory = Lock(), CoilMemory()

    def send(message: Message) -> None:
        raw = encode(message).raw
        with lock:
            answers.write(raw)
            answers.flush()

    while line := jobs.readline():
        job, shortfall = Job.from_json(line), ""
        if job.reads_along:
            job, shortfall = read_along(job, lambda: jobs.read1(BELLS_AT_ONCE), send, memory)
        for message in done(job, shortfall):
            send(message)


def done(job: Job, shortfall: str = "") -> Iterator[Message]:
    """Do one job: words first, then images, CLOSE at the end; what knerve refuses becomes words.

    Args:
        job: whose session has ended.
        shortfall: label of a scan of which it is known that readouts are missing.
    """
    try:
        yield from _reconstructed(SessionFolder(Path(job.folder)), job, shortfall)
    except KnerveError as refusal:
        yield error(str(refusal))
    yield Close()


def _reconstructed(folder: SessionFolder, job: Job, shortfall: str) -> Iterator[Message]:
    journalled = write_raw_file(folder.journal, folder.raw)
    if journalled.damage:
        yield warning(f"The journal was read up to its damage: {journalled.damage}.")
    if journalled.n_broken:
        yield warning(f"Left out, for contradicting their own heads: {counted(journalled.n_broken, 'readout')}.")
    if not job.wants_images or not journalled.n_readouts:
        return
    scan = read_mrd(folder.raw)
    yield info(RESEARCH_USE)
    if not journalled.is_closed:
        shortfall = shortfall or f"INCOMPLETE ({journalled.n_readouts} readouts)"
        yield warning(f"INCOMPLETE: the stream ended without CLOSE after {journalled.n_readouts} readouts.")
    elif shortfall:
        yield warning(f"{shortfall}: the scan ended before all readouts came.")
    settings = PIPELINES[job.pipeline]
    if job.budget_s is not None and settings.method != QUICK_METHOD:  # what begins at the end is late already
        yield from _quick_images(scan, settings, folder, job)
    images = _images(scan, settings, shortfall)
    for note in images.notes:
        yield warning(note) if note.startswith("Warning:") else info(note)
    keep_images(images, folder)
    number = final_series(settings.method)
    for image in image_messages(folder.images):
        if image.head["image_index"] not in job.sent:
            yield of_series(image, number)
    keep_dicom(numbered(images), folder)  # for archives, who can wait


def _quick_images(scan: RawScan, settings: Settings, folder: SessionFolder, job: Job) -> Iterator[Message]:
    """Fallbacks of the images that the client does not have."""
    quick = replace(settings, method=QUICK_METHOD, snr_map="none")
    keep_images(fallback(knerve.recon.pipeline.reconstruct(scan, quick)), folder)
    for image in image_messages(folder.images):
        if image.head["image_index"] not in job.sent:
            yield of_series(image, PREVIEW_SERIES)


def _images(scan: RawScan, settings: Settings, shortfall: str) -> ImageSeries:
    """The images; of a scan that lacks readouts those that can be made, and labelled."""
    if not shortfall:
        return knerve.recon.pipeline.reconstruct(scan, settings)
    try:
        images = knerve.recon.pipeline.reconstruct(scan, settings)
    except CalibrationError:
        images = knerve.recon.pipeline.reconstruct(scan, replace(settings, method="zero-filled"))
    return labelled(images, shortfall)


if __name__ == "__main__":
    main()
