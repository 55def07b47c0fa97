"""What this room refuses: one error, with the field it is about and the nearest value that would do.

It stands beside the errors of the reconstruction, because the two rooms do not know each other; the command line catches both.
"""

from __future__ import annotations


class ProtocolError(ValueError):
    """A protocol that no scanner can play, or a question about one that has no answer.

    The text says what came, what was expected and the nearest valid value; programs read the same from the attributes.

    Attributes:
        field: the field it is about, as "section.name_unit" of the protocol file, or empty.
        nearest: the nearest valid value of that field in the unit of its name, or None.
    """

    def __init__(self, message: str, *, field: str = "", nearest: float | str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.nearest = nearest
