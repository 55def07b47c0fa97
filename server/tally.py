"""What the server has done so far, counted visit by visit, and one log line at the end of each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import get_args

from knerve.datasets.wording import counted
from knerve.server.log_lines import told
from knerve.server.metrics import Counter, Gauge, Histogram, Metric
from knerve.server.session_record import UNFINISHED, State
from knerve.server.visit import Visit, serving

log = logging.getLogger(__name__)

WAIT_BOUNDS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 33.0, 60.0, 120.0, 300.0)
ENDS: tuple[State, ...] = tuple(state for state in get_args(State) if state not in UNFINISHED)


class Tally:
    """Counts of all visits since the server started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._visits: set[Visit] = set()
        self.finished = Counter(
            "knerve_sessions_finished_total", "Sessions with data that ended, by how.", "state", (*ENDS, "unfinished")
        )
        self.turned_away = Counter(
            "knerve_clients_turned_away_total", "Clients that found no room.", "reason", ("clients", "door", "spool")
        )
        self.lost = Counter("knerve_scans_lost_total", "Scans of which a message came that could not be kept.")
        self.incomplete = Counter("knerve_scans_incomplete_total", "Scans that ended without CLOSE.")
        self.readouts = Counter("knerve_readouts_total", "Readouts kept, of sessions that have ended.")
        self.images = Counter("knerve_images_sent_total", "Images sent, of sessions that have ended.")
        self.wait = Histogram(
            "knerve_last_readout_to_image_seconds",
            "From keeping the last readout of a scan to sending its last image.",
            WAIT_BOUNDS_S,
        )

    @contextmanager
    def visit(self) -> Iterator[Visit]:
        """One client, counted while it is here and by how it left."""
        visit = Visit()
        with self._lock:
            self._visits.add(visit)
        try:
            with serving(visit):
                try:
                    yield visit
                finally:
                    self._ended(visit)
        finally:
            with self._lock:
                self._visits.discard(visit)

    def metrics(self) -> tuple[Metric, ...]:
        """Everything that is counted here."""
        return (
            Gauge("knerve_clients", "Clients that are connected.", lambda: len(self._visits)),
            Gauge("knerve_sessions_open", "Sessions that receive readouts.", lambda: self._n_in("receiving")),
            Gauge(
                "knerve_jobs",
                "Complete scans that are being reconstructed or wait for their turn.",
                lambda: self._n_in("reconstructing"),
            ),
            *(self.finished, self.turned_away, self.lost, self.incomplete, self.readouts, self.images, self.wait),
        )

    def _n_in(self, state: State) -> int:
        with self._lock:
            return sum(visit.record is not None and visit.record.state == state for visit in self._visits)

    def _ended(self, visit: Visit) -> None:
        self.lost.add(visit.has_lost)
        self.turned_away.add(visit.is_refused, "spool")
        record = visit.record
        if record is None:
            return
        state = record.state if record.state not in UNFINISHED else "unfinished"
        self.finished.add(kind=state)
        self.incomplete.add(state == "incomplete")
        self.readouts.add(record.n_readouts)
        self.images.add(visit.n_images)
        wait_s = visit.wait_s
        if wait_s is not None:
            self.wait.observe(wait_s)
        log.info(
            "%s: left %s, %s, %s",
            *(visit.session, state, counted(record.n_readouts, "readout"), counted(visit.n_images, "image")),
            extra=told(
                "session ended",
                {
                    "state": state,
                    "pipeline": record.pipeline,
                    "readouts": record.n_readouts,
                    "images": visit.n_images,
                    "seconds_from_last_readout_to_image": None if wait_s is None else round(wait_s, 4),
                    "words": record.words,
                },
            ),
        )
