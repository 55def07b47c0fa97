"""What the server tells its log: lines for people, or one JSON object a line.

Every object has `time` (UTC), `level`, `event`, `session`, `measurement` and `message`; events add facts of their own.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime

from knerve.server.visit import current_visit

log = logging.getLogger(__name__)

Value = str | int | float | None
PLAIN = "%(asctime)s %(levelname)s %(message)s"
_FACTS = "knerve_facts"


def told(event: str, facts: Mapping[str, Value] | None = None) -> dict[str, object]:
    """What a log line says beside its words, given as `extra`: the name of the event, and facts for programs."""
    return {_FACTS: {"event": event, **(facts or {})}}


def log_to_stderr(*, as_json: bool) -> None:
    """Send all that is logged from now on to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(PLAIN))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    threading.excepthook = _tell_defect


def _tell_defect(failed: threading.ExceptHookArgs) -> None:
    """A defect that ends a thread is a line of the log like every other."""
    if failed.exc_value is None or isinstance(failed.exc_value, SystemExit):
        return
    name = "a thread" if failed.thread is None else failed.thread.name
    trace = (failed.exc_type, failed.exc_value, failed.exc_traceback)
    log.error("%s failed; please report this", name, exc_info=trace, extra=told("defect", {"thread": name}))


class JsonLines(logging.Formatter):
    """Each record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, event, session, measurement, words, facts; a traceback is a fact."""
        visit = current_visit()
        facts = getattr(record, _FACTS, {"event": "message"})
        line: dict[str, object] = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            "level": record.levelname.lower(),
            "event": facts["event"],
            "session": visit.session,
            "measurement": "" if visit.record is None else visit.record.measurement_id,
            "message": record.getMessage(),
            **facts,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
