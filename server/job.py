"""What the server asks of a process that reconstructs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Job:
    """One session to be turned into a raw file and images.

    Attributes:
        folder: where the session is kept.
        pipeline: a name on the list of `pipelines`.
        wants_images: whether to reconstruct, not only to write the raw file.
    """

    folder: str
    pipeline: str
    wants_images: bool

    def as_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Job:
        """`as_json` turned round."""
        return cls(**json.loads(line))
