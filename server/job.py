"""What the server asks of a process that reconstructs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

PREVIEW_SERIES = 1  # of images that go out before better ones: quick ones, and those that a network will refine
REFINED_SERIES = 2  # of images that a network refined; other images are the series 0
MORE, ALL, NO_MORE = b".", b"!", b"x"
"""What a process that reads along is told, a byte each: the journal has grown; it is complete; the scan was broken off."""


@dataclass(frozen=True)
class Job:
    """One session to be turned into a raw file and images.

    Attributes:
        folder: where the session is kept.
        pipeline: a name on the list of `pipelines`.
        wants_images: whether to reconstruct, not only to write the raw file.
        reads_along: whether the session is still being received; `MORE`, `ALL` and `NO_MORE` follow then.
        sent: `image_index` of images that the client has already.
        budget_s: seconds after the last readout when images must go out, quick ones if need be; None for no hurry.
        reuses_coils: whether coil sensitivities of the scan before may be used.
    """

    folder: str
    pipeline: str
    wants_images: bool
    reads_along: bool = False
    sent: tuple[int, ...] = ()
    budget_s: float | None = None
    reuses_coils: bool = True

    def as_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str | bytes) -> Job:
        """`as_json` turned round."""
        values = json.loads(line)
        return cls(**{**values, "sent": tuple(values["sent"])})
