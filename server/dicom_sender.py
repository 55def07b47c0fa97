"""Sends a spool's DICOM files to one receiver with C-STORE, and tries again, ever less often, until it has them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

from knerve.recon.errors import KnerveError
from knerve.server.deliveries import Deliveries, Delivery
from knerve.server.dicom_peer import LONGEST_TITLE, Peer, is_title
from knerve.server.errors import ServerError
from knerve.server.log_lines import told

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.association import Association

log = logging.getLogger(__name__)

OUR_TITLE = "KNERVE"
CONNECTING_S, ANSWER_S = 10.0, 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
LONGEST_CLOSE_S = 2.0
STORED = (0x0000, 0xB000, 0xB006, 0xB007, 0x0111)  # the last: it has this file already
HOPELESS = (0x0117, 0x0122)  # and those of the two classes below: sending the same again will not help
HOPELESS_CLASSES = (0xA9, *range(0xC0, 0xD0))  # of the upper byte: not as the receiver expects it, not understood


class _NotDeliveredError(ServerError):
    """A receiver cannot be reached, or does not take a file now."""


class Sender:
    """One receiver's thread, from now until `close`."""

    def __init__(self, deliveries: Deliveries, peer: Peer, our_title: str = OUR_TITLE) -> None:
        """Begin with what is waiting.

        Raises:
            ServerError: pynetdicom is not installed, or `our_title` is no title.
        """
        self._deliveries, self._peer = deliveries, peer
        self._entity = _application_entity(our_title)
        self._is_due, self._is_closed = Event(), Event()
        deliveries.wake.append(self._is_due.set)
        self._is_due.set()
        self._thread = Thread(target=self._run, name=f"sender {peer}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send no more; what is waiting is sent after the next start."""
        self._is_closed.set()
        self._is_due.set()
        self._thread.join(LONGEST_CLOSE_S)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._is_closed.is_set():
            self._is_due.wait()
            self._is_due.clear()
            try:
                if waiting := self._deliveries.waiting(self._peer):
                    self._deliver(waiting)
                pause_s = FIRST_PAUSE_S
            except (KnerveError, OSError) as failure:
                if self._is_closed.is_set():
                    return
                facts: dict[str, str | int | float | None] = {"peer": str(self._peer), "seconds_to_next_try": pause_s}
                log.warning(
                    "%s: %s Tried again in %g s.", self._peer, failure, pause_s, extra=told("not delivered", facts)
                )
                self._is_closed.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                self._is_due.set()

    def _deliver(self, waiting: Sequence[Delivery]) -> None:
        """Send all that is waiting; a file that is not taken does not hold up the others."""
        failure: _NotDeliveredError | None = None
        with self._association() as association:
            for delivery in waiting:
                if self._is_closed.is_set():
                    return
                try:
                    self._send(association, delivery)
                except _NotDeliveredError as error:
                    failure = error
                    if not association.is_established:
                        break
        if failure is not None:
            raise failure

    @contextmanager
    def _association(self) -> Iterator[Association]:
        association = self._entity.associate(self._peer.host, self._peer.port, ae_title=self._peer.title)
        if not association.is_established:
            how = "refuses us" if association.is_rejected else "cannot be reached"
            raise _NotDeliveredError(f"The receiver {how}.")
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def _send(self, association: Association, delivery: Delivery) -> None:
        try:
            dataset = dcmread(delivery.path)
        except (FileNotFoundError, InvalidDicomError) as error:
            self._give_up(delivery, f"the file cannot be read: {error}")
            return
        try:
            answer = association.send_c_store(dataset)
        except (ValueError, RuntimeError) as error:  # it takes no MR images, or has gone
            raise _NotDeliveredError(f"{delivery.file} of {delivery.session} cannot be sent: {error}.") from error
        status = answer.get("Status")
        if status is None:
            raise _NotDeliveredError(f"{delivery.file} of {delivery.session} was not answered.")
        if status in STORED:
            self._deliveries.note(delivery, self._peer, "sent")
            facts = {"session": delivery.session, "peer": str(self._peer), "uid": str(dataset.SOPInstanceUID)}
            log.info(
                "%s: %s delivered to %s", delivery.session, delivery.file, self._peer, extra=told("delivered", facts)
            )
        elif status in HOPELESS or status >> 8 in HOPELESS_CLASSES:
            self._give_up(delivery, f"the receiver refuses it (status {status:04X} {answer.get('ErrorComment', '')})")
        else:
            raise _NotDeliveredError(f"{delivery.file} of {delivery.session} was not taken (status {status:04X}).")

    def _give_up(self, delivery: Delivery, why: str) -> None:
        self._deliveries.note(delivery, self._peer, "refused", why)
        facts = {"session": delivery.session, "peer": str(self._peer), "why": why}
        words = "%s: %s was not delivered to %s, and is not tried again: %s"
        log.error(words, delivery.session, delivery.file, self._peer, why, extra=told("delivery given up", facts))


def _application_entity(our_title: str) -> ApplicationEntity:
    if not is_title(our_title):
        raise ServerError(
            f"DICOM takes no {our_title!r} as a title; give at most {LONGEST_TITLE} characters with --ae-title."
        )
    try:
        from pynetdicom.ae import ApplicationEntity
    except ModuleNotFoundError as error:
        raise ServerError(
            "Sending DICOM needs pynetdicom, which is not installed. Install it: pip install 'knerve[server]'."
        ) from error
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what it would say is said here, once
    entity = ApplicationEntity(ae_title=our_title)
    entity.add_requested_context(MRImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    entity.connection_timeout = entity.acse_timeout = CONNECTING_S
    entity.dimse_timeout = entity.network_timeout = ANSWER_S
    return entity
