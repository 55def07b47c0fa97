"""Everything that `/metrics` tells of a server, and whether it is ready."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from knerve.datasets.provenance import software_version
from knerve.server.deliveries import Deliveries, Fate
from knerve.server.housekeeping import Housekeeper
from knerve.server.listener import Listener
from knerve.server.metrics import Gauge, Gauges, Metric
from knerve.server.session_index import SessionIndex
from knerve.server.spool import Spool
from knerve.server.tally import Tally


def server_metrics(
    tally: Tally, index: SessionIndex, housekeeper: Housekeeper, deliveries: Deliveries | None
) -> tuple[Metric, ...]:
    """What a scrape reads."""
    version = software_version()
    return (
        *tally.metrics(),
        Gauges("knerve_spool_sessions", "Sessions in the spool, by state.", "state", index.by_state),
        Gauge("knerve_spool_bytes", "What sessions that have ended take of the disk.", index.n_bytes),
        Gauge("knerve_spool_free_bytes", "What is left of the spool's disk.", housekeeper.free_bytes),
        Gauge("knerve_spool_quota_bytes", "What the spool may take; 0: all.", lambda: housekeeper.keeping.quota_bytes),
        housekeeper.removed,
        *(() if deliveries is None else _delivery_metrics(deliveries)),
        Gauges("knerve_build_info", "The version that runs.", "version", lambda: {version: 1.0}),
    )


def _delivery_metrics(deliveries: Deliveries) -> Iterator[Metric]:
    fates: dict[Fate, str] = {
        "waiting": "DICOM files that a receiver has not got.",
        "sent": "DICOM files of sessions in the spool that a receiver has got.",
        "refused": "DICOM files of sessions in the spool that were given up.",
    }
    for fate, meaning in fates.items():
        yield Gauges(f"knerve_dicom_{fate}", meaning, "peer", partial(deliveries.count, fate))


def not_ready(listener: Listener, spool: Spool) -> tuple[str, ...]:
    """Why a scan could not begin now."""
    reasons = []
    if not listener.is_accepting:
        reasons.append("the server is being stopped")
    if refusal := spool.refusal():
        reasons.append(refusal)
    return tuple(reasons)
