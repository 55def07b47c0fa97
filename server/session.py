"""One session with a client, from its config to our CLOSE.

    config (or a query)  ->  header  ->  [JSON parameters]  ->  readouts  ->  CLOSE     what the client says
    words at any time    ->  images  ->  CLOSE                                          what it is answered

Every message is journalled before it is looked at. A process that is free reads the journal along and reconstructs what is
there; images go out as they are finished. Where none is free, or it fails, the journal is reconstructed at the end.

Whatever happens, the client is told why in a TEXT and gets a CLOSE: a session without images must not look like success.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from knerve.datasets.mrd_header import parse_header
from knerve.datasets.wording import counted
from knerve.recon.errors import KnerveError, RawDataError
from knerve.server.connection import Outbox, SocketSource
from knerve.server.desk import Desk
from knerve.server.errors import OutOfOrderError, SilentClientError, WorkerError
from knerve.server.framing import Frame, read_frame
from knerve.server.job import Job
from knerve.server.journal import JournalWriter
from knerve.server.messages import (
    Acquisition,
    Close,
    ConfigFile,
    ConfigText,
    Header,
    Image,
    Message,
    MessageId,
    NdArray,
    Query,
    Text,
    Waveform,
)
from knerve.server.pipelines import Choice, choice_of_name, choice_of_parameters, choice_of_text
from knerve.server.queries import answer_to
from knerve.server.spoken import error, info, warning
from knerve.server.spool import SessionFolder, SessionRecord, State, now
from knerve.server.stream_companion import Companion
from knerve.server.stream_delivery import Delivery
from knerve.server.wire import decode

log = logging.getLogger(__name__)

GRACE_S = 2.0  # beyond its budget, before a process that says nothing is given up


class Session:
    """One client."""

    def __init__(self, source: SocketSource, outbox: Outbox, desk: Desk) -> None:
        self._source = source
        self._outbox = outbox
        self._desk = desk
        self._record = SessionRecord("receiving", now())
        self._has_config = self._has_header = self._is_readable = self._is_closed = self._was_asked = False
        self._n_others = 0
        self._notice = desk.bulletin.notice()
        self._delivery = Delivery(outbox, self._notice)
        self._companion: Companion | None = None

    def run(self) -> None:
        """Receive, reconstruct, answer; words before images, always."""
        is_explained = False
        try:
            self._receive_and_answer()
            is_explained = True
        except KnerveError as refusal:
            self._say(error(str(refusal)))
            is_explained = True
        finally:  # a defect of knerve: its traceback goes to the log
            if not is_explained:
                self._say(error("The server failed; the raw data that came are kept. Please report this."))
            self._notice.ended(self._record.state)

    def _receive_and_answer(self) -> None:
        first = self._first_frame()
        if first is None:
            if self._is_closed or self._was_asked:
                self._say(info("Nothing was to be done."))
            else:
                self._say(warning("The connection ended before a message came; MRD begins with a config."))
            return
        folder = self._desk.spool.new_session()
        with JournalWriter(folder.journal) as journal:  # its last sync is not waited for: images go first
            ended: State
            try:
                self._receive(folder, journal, first)
                ended = "done" if self._is_closed else "incomplete"
            except KnerveError as refusal:
                self._say(error(str(refusal)))
                ended = "failed"
            self._conclude(folder, ended)

    def _first_frame(self) -> Frame | None:
        """The first message to be kept; queries are answered, and neither they nor a lone CLOSE leave a trace."""
        self._source.allow(self._desk.patience.handshake_s)
        while (frame := read_frame(self._source, self._desk.limits)) is not None:
            if frame.kind == MessageId.QUERY:
                self._was_asked = True
                self._take(decode(frame))
            elif frame.kind == MessageId.CLOSE:
                self._is_closed = True
                return None
            else:
                return frame
        return None

    def _receive(self, folder: SessionFolder, journal: JournalWriter, first: Frame) -> None:
        """Keep and take every message up to CLOSE or to the end of the stream."""
        folder.write(self._record)
        frame: Frame | None = first
        while frame is not None:
            journal.append(frame)
            known = self._record
            self._take(decode(frame))
            if (known.pipeline, known.measurement_id) != (self._record.pipeline, self._record.measurement_id):
                folder.write(self._record)
            if self._is_closed:
                return
            self._let_read_along(folder, frame)
            frame = self._next_frame()

    def _let_read_along(self, folder: SessionFolder, frame: Frame) -> None:
        """Let a process know that this message is in the journal; one is asked when the first readout is."""
        if frame.kind != MessageId.ACQUISITION:
            return
        if self._record.n_readouts == 1 and self._is_readable and self._desk.read_along is not None:
            self._companion = self._desk.read_along(self._job(folder, reads_along=True), self._delivery.take)
        if self._companion is not None:
            self._companion.ring()

    def _job(self, folder: SessionFolder, *, wants_images: bool = True, reads_along: bool = False) -> Job:
        return Job(
            str(folder.path.absolute()),
            self._record.pipeline,
            wants_images,
            reads_along,
            self._delivery.sent,
            self._desk.budget_s,
            self._desk.reuses_coils,
        )

    def _next_frame(self) -> Frame | None:
        patience = self._desk.patience
        if self._has_header:
            self._source.allow(patience.silence_s)
            try:
                self._source.wait()
            except SilentClientError:
                raise SilentClientError(
                    f"Nothing came for {patience.silence_s:g} s, after {counted(self._record.n_readouts, 'readout')} and no "
                    "CLOSE: the scan was taken to be aborted."
                ) from None
            self._source.allow(patience.message_s)
        return read_frame(self._source, self._desk.limits)

    def _take(self, message: Message) -> None:
        match message:
            case ConfigFile(name):
                self._configure(choice_of_name(name))
            case ConfigText(text):
                self._configure(choice_of_text(text))
            case Header(xml):
                self._take_header(xml)
            case Text(text):
                self._take_text(text)
            case Query(correlation_id, question):
                self._outbox.offer(answer_to(correlation_id, question))
            case Close():
                self._is_closed = True
            case Acquisition():
                self._require_header(message)
                self._record = replace(self._record, n_readouts=self._record.n_readouts + 1)
                self._notice.readout(message.head)
            case Image() | Waveform() | NdArray():
                self._require_header(message)
                self._n_others += 1
            case _:
                raise OutOfOrderError(f"{type(message).__name__} came, which only servers send.")

    def _configure(self, choice: Choice) -> None:
        if self._has_config:
            raise OutOfOrderError("A second config came; one session has one config. Open another connection.")
        self._has_config = True
        self._choose(choice)

    def _choose(self, choice: Choice) -> None:
        self._record = replace(self._record, pipeline=choice.pipeline)
        if choice.note:
            self._say(warning(choice.note))

    def _take_header(self, xml: bytes) -> None:
        if self._has_header:
            raise OutOfOrderError("A second header came; one session is one scan. Open another connection.")
        self._has_header = True
        try:
            header = parse_header(xml)
        except RawDataError as refusal:  # raw data are kept all the same: a header can be mended, a scan not repeated
            self._say(warning(f"{refusal} Readouts are kept, but cannot be reconstructed."))
            return
        self._is_readable = True
        self._notice.header(header)
        self._record = replace(self._record, measurement_id=header.scan_header.measurement_id)

    def _take_text(self, text: str) -> None:
        if self._has_header and not self._record.n_readouts and (choice := choice_of_parameters(text)):
            self._choose(choice)

    def _require_header(self, message: Message) -> None:
        if not self._has_header:
            raise OutOfOrderError(f"{type(message).__name__} came before the header; send config, header, then data.")

    def _conclude(self, folder: SessionFolder, ended: State) -> None:
        """Make what can be made of what came, and note how it ended."""
        self._notice.received()
        n_readouts = self._record.n_readouts
        if not n_readouts and not self._n_others:
            if ended == "done":
                self._say(info("No readouts came: nothing to reconstruct."))
            elif ended == "incomplete":
                self._say(warning("The connection ended without CLOSE and without readouts; nothing is kept."))
            folder.remove()
            return
        if ended == "incomplete":
            words = (
                f"The connection ended without CLOSE after {counted(n_readouts, 'readout')}: kept, not reconstructed."
            )
            self._say(warning(words))
        if self._n_others:
            self._say(info(f"Kept, but not used: {counted(self._n_others, 'message')} of other kinds."))
        folder.write(replace(self._record, state="reconstructing" if ended == "done" else "receiving"))
        self._reconstruct(folder, ended)

    def _reconstruct(self, folder: SessionFolder, ended: State) -> None:
        wants_images = ended == "done" and self._record.n_readouts > 0
        try:
            if not self._finish_companion(is_complete=wants_images):
                for frame in self._desk.reconstruct(self._job(folder, wants_images=wants_images)):
                    self._delivery.take(frame)
        except WorkerError as failure:  # the state stays open: tried once more when the server starts again
            self._say(error(str(failure)))
            return
        if self._delivery.words:
            self._record = replace(self._record, words=self._delivery.words)
        if wants_images and not self._delivery.sent and not self._delivery.refused:
            self._delivery.refused = True
            self._say(error("The reconstruction made no image; please report this."))
        if self._delivery.refused and folder.lacks_room():
            self._say(warning("The disk is full: the images are made when there is room and the server starts again."))
            return
        self._record = replace(self._record, state="failed" if self._delivery.refused else ended)
        folder.write(self._record)
        received, made = counted(self._record.n_readouts, "readout"), counted(len(self._delivery.sent), "image")
        log.info("%s: %s, %s, %s", folder.path.name, self._record.state, received, made)

    def _finish_companion(self, *, is_complete: bool) -> bool:
        """Wait for the process that reads along; whether there was one that did all that is to be done."""
        if self._companion is None:
            return False
        try:
            budget_s = self._desk.budget_s
            self._companion.finish(is_complete=is_complete, first_s=None if budget_s is None else budget_s + GRACE_S)
        except WorkerError as failure:
            self._say(warning(f"{failure} It is tried once more from the journal."))
            return False
        return True

    def _say(self, message: Text) -> None:
        self._record = replace(self._record, words=message.text)
        self._outbox.put(message)
        self._notice.said(message.text)
