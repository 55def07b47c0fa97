"""How far a session got, as it is kept beside its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["receiving", "reconstructing", "done", "incomplete", "failed"]
UNFINISHED: tuple[State, ...] = ("receiving", "reconstructing")


@dataclass(frozen=True)
class SessionRecord:
    """How far a session got.

    Attributes:
        state: "incomplete" ended without CLOSE, "failed" ended without the images it asked for.
        started: UTC, ISO 8601.
        pipeline: what was to be done with the data.
        measurement_id: of the header.
        n_readouts: received.
        words: the last that the client was told.
        ended: UTC, ISO 8601; empty as long as the session has not ended.
        n_images: sent, or made when the session was recovered.
    """

    state: State
    started: str
    pipeline: str = "default"
    measurement_id: str = ""
    n_readouts: int = 0
    words: str = ""
    ended: str = ""
    n_images: int = 0
