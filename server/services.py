"""What stands beside a listener: the index, room on the disk, delivery to receivers, the status port and the live page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial

from knerve.datasets.provenance import software_version
from knerve.server.bulletin import NOBODY_LOOKS, Bulletin
from knerve.server.deliveries import Deliveries
from knerve.server.dicom_peer import Peer
from knerve.server.dicom_sender import OUR_TITLE, Sender
from knerve.server.housekeeping import Housekeeper, Keeping
from knerve.server.listener import LOOPBACK, Listener
from knerve.server.live.health import Health
from knerve.server.live.site import LivePage
from knerve.server.server_metrics import not_ready, server_metrics
from knerve.server.session_index import SessionIndex
from knerve.server.spool import Spool
from knerve.server.status import StatusServer
from knerve.server.tally import Tally


@dataclass(frozen=True)
class ServiceSettings:
    """Which services there are.

    Attributes:
        keeping: how much of the disk sessions may take, and for how long.
        peers: receivers of DICOM files.
        our_title: what we call ourselves to them.
        status_port: on this machine; None for none, 0 for any that is free.
        page_port: of the live page; None for none, 0 for any that is free.
        page_host: address on which it listens.
    """

    keeping: Keeping = field(default_factory=Keeping)
    peers: Sequence[Peer] = ()
    our_title: str = OUR_TITLE
    status_port: int | None = None
    page_port: int | None = None
    page_host: str = LOOPBACK


class Services:
    """They follow the spool's sessions until `close`; begin them before the listener.

    Attributes:
        tally: what the listener counts with.
        bulletin: what sessions report to.
    """

    def __init__(self, spool: Spool, settings: ServiceSettings) -> None:
        """Begin to follow the spool.

        Raises:
            KnerveError: one of them cannot.
        """
        self.tally = Tally()
        self.bulletin = Bulletin() if settings.page_port is not None else Bulletin(NOBODY_LOOKS)
        self._spool, self._settings = spool, settings
        with ExitStack() as opened:
            self._index = opened.enter_context(closing(SessionIndex(spool)))
            self._deliveries = self._delivering(opened)
            is_held = _never if self._deliveries is None else self._deliveries.is_waiting
            self._housekeeper = opened.enter_context(
                closing(Housekeeper(spool, self._index, settings.keeping, is_held))
            )
            self._opened = opened.pop_all()

    def tell_status_of(self, listener: Listener) -> int | None:
        """Open the status port if there is to be one; returns it.

        Raises:
            ServerError: it cannot be opened.
        """
        if self._settings.status_port is None:
            return None
        metrics = server_metrics(self.tally, self._index, self._housekeeper, self._deliveries)
        status = StatusServer(self._settings.status_port, metrics, partial(not_ready, listener, self._spool))
        self._opened.enter_context(closing(status))
        return status.port

    def show_page_of(self, listener: Listener) -> int | None:
        """Open the live page if there is to be one; returns its port.

        Raises:
            ServerError: it cannot be opened, or what it needs is not installed.
        """
        if self._settings.page_port is None:
            return None
        ask_health = partial(self._health, listener, software_version())
        page = LivePage(self.bulletin, ask_health, self._settings.page_host, self._settings.page_port)
        self._opened.enter_context(closing(page))
        return page.port

    def close(self) -> None:
        """End all of them."""
        self._opened.close()

    def _health(self, listener: Listener, version: str) -> Health:
        reasons, free_bytes = not_ready(listener, self._spool), None
        with suppress(OSError):  # `reasons` tell of it
            free_bytes = self._housekeeper.free_bytes()
        return Health(version, reasons, free_bytes, self.tally.lost.value(), self.tally.incomplete.value())

    def _delivering(self, opened: ExitStack) -> Deliveries | None:
        if not self._settings.peers:
            return None
        deliveries = opened.enter_context(closing(Deliveries(self._spool, self._settings.peers)))
        for peer in self._settings.peers:
            opened.enter_context(closing(Sender(deliveries, peer, self._settings.our_title)))
        return deliveries


def _never(_: str) -> bool:
    return False
