"""The words of TEXT messages: a level that clients can colour, padded to eight characters, and a sentence."""

from __future__ import annotations

from knerve.server.messages import Text


def info(words: str) -> Text:
    """Something the operator may like to know."""
    return _spoken("INFO", words)


def warning(words: str) -> Text:
    """Something that may spoil the images."""
    return _spoken("WARNING", words)


def error(words: str) -> Text:
    """Why there are no images."""
    return _spoken("ERROR", words)


def is_error(text: str) -> bool:
    """Whether a TEXT says why there are no images."""
    return text.startswith("ERR")


def _spoken(level: str, words: str) -> Text:
    return Text(f"{level:<8} {words}")
