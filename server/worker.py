"""The process in which scans are reconstructed: `python -m knerve.server.worker`.

It is told what to do in lines of JSON on stdin and answers each on stdout with MRD messages, TEXT and IMAGE, up to a CLOSE,
until stdin ends. Whatever else is printed goes to stderr. A crash ends this process and leaves the server as it was.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import knerve.recon.pipeline
from knerve.datasets.mrd_file import read_mrd
from knerve.datasets.mrd_images import write_mrd_images
from knerve.datasets.plane_series import plane_series
from knerve.datasets.wording import counted
from knerve.recon.errors import KnerveError
from knerve.recon.images import RESEARCH_USE, ImageSeries
from knerve.server.image_file import image_messages
from knerve.server.job import Job
from knerve.server.messages import Close, Message
from knerve.server.pipelines import PIPELINES
from knerve.server.raw_file import Journalled, write_raw_file
from knerve.server.spoken import error, info, warning
from knerve.server.spool import SessionFolder
from knerve.server.wire import encode

FIRST_TO_GO = "1000"  # when memory runs out, the system ends this process before the server


def main() -> None:
    """Answer until there is nothing more to do."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # libraries print where they like
        serve(sys.stdin, answers)


def serve(jobs: IO[str], answers: IO[bytes]) -> None:
    """Do each job and answer it."""
    for line in jobs:
        for message in done(Job.from_json(line)):
            answers.write(encode(message).raw)
            answers.flush()


def done(job: Job) -> Iterator[Message]:
    """Do one job: words first, then images, CLOSE at the end; what knerve refuses becomes words."""
    try:
        yield from _reconstructed(SessionFolder(Path(job.folder)), job)
    except KnerveError as refusal:
        yield error(str(refusal))
    yield Close()


def _reconstructed(folder: SessionFolder, job: Job) -> Iterator[Message]:
    journalled = write_raw_file(folder.journal, folder.raw)
    if journalled.damage:
        yield warning(f"The journal was read up to its damage: {journalled.damage}.")
    if journalled.n_broken:
        yield warning(f"Left out, for contradicting their own heads: {counted(journalled.n_broken, 'readout')}.")
    if not job.wants_images or not journalled.n_readouts:
        return
    scan = read_mrd(folder.raw)
    yield info(RESEARCH_USE)
    images = knerve.recon.pipeline.reconstruct(scan, PIPELINES[job.pipeline])
    if not journalled.is_closed:
        images = _labelled(images, journalled)
        yield warning(f"INCOMPLETE: the stream ended without CLOSE after {journalled.n_readouts} readouts.")
    for note in images.notes:
        yield warning(note) if note.startswith("Warning:") else info(note)
    aside = folder.path / f".images.{os.getpid()}.part"
    try:
        write_mrd_images(plane_series(images), aside)
        aside.replace(folder.images)
    finally:
        aside.unlink(missing_ok=True)
    yield from image_messages(folder.images)


def _labelled(images: ImageSeries, journalled: Journalled) -> ImageSeries:
    """The same images, whose description says in every format that readouts may be missing."""
    name = images.header.series_description or images.header.protocol_name
    label = f"INCOMPLETE ({journalled.n_readouts} readouts) {name}".strip()
    return replace(images, header=replace(images.header, series_description=label))


if __name__ == "__main__":
    main()
