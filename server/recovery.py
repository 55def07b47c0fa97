"""Sessions that a killed server left in the middle: their journals are replayed, and the images made."""

from __future__ import annotations

import logging
from dataclasses import replace

from knerve.server.desk import Reconstruct
from knerve.server.errors import StoppedError, WorkerError
from knerve.server.framing import Frame
from knerve.server.job import Job
from knerve.server.journal import JournalReader
from knerve.server.log_lines import Value, told
from knerve.server.messages import MessageId, Text
from knerve.server.session_record import SessionRecord, State
from knerve.server.spoken import is_error
from knerve.server.spool import SessionFolder, now
from knerve.server.wire import decode

log = logging.getLogger(__name__)


def recover(folders: list[SessionFolder], reconstruct: Reconstruct) -> None:
    """Make raw files and images of unfinished sessions, one after the other."""
    for folder in folders:
        try:
            record = _recovered(folder, reconstruct)
        except StoppedError:
            return
        folder.write(record)
        facts: dict[str, Value] = {
            "session": folder.name,
            "measurement": record.measurement_id,
            "state": record.state,
            "readouts": record.n_readouts,
            "images": record.n_images,
        }
        log.info(
            "%s: recovered, %s. %s", folder.name, record.state, record.words, extra=told("session recovered", facts)
        )


def _recovered(folder: SessionFolder, reconstruct: Reconstruct) -> SessionRecord:
    record = folder.read() or SessionRecord("receiving", now())
    n_images, words, refused = 0, "No readouts were in the journal.", False
    try:
        for frame in reconstruct(Job(str(folder.path.absolute()), record.pipeline, wants_images=True)):
            if text := _text(frame):
                words, refused = text, refused or is_error(text)
            n_images += frame.kind == MessageId.IMAGE
    except StoppedError:
        raise
    except WorkerError as failure:
        words, refused = str(failure), True
    n_readouts = sum(frame.kind == MessageId.ACQUISITION for frame in JournalReader(folder.journal))
    state: State = "failed" if refused or not n_images else "done"
    return replace(record, state=state, n_readouts=n_readouts, n_images=n_images, words=words)


def _text(frame: Frame) -> str:
    message = decode(frame) if frame.kind == MessageId.TEXT else None
    return message.text if isinstance(message, Text) else ""
