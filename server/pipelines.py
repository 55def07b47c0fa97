"""What a client may ask for: a name on this list. Nothing that a client sends is imported, executed or used as a path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from knerve.recon.settings import Settings

DEFAULT = "default"
PIPELINES: Mapping[str, Settings] = {
    DEFAULT: Settings(),
    "cs": Settings(method="cs"),
    "sense": Settings(method="sense"),
    "dl": Settings(method="dl"),
    "zero-filled": Settings(method="zero-filled"),
}
ENDINGS = (".xml", ".json")
LONGEST_QUOTE = 40


@dataclass(frozen=True)
class Choice:
    """The pipeline that a config stands for, and what the client should be told about it."""

    pipeline: str
    note: str = ""


def choice_of_name(name: str) -> Choice:
    """The pipeline of a config name; `cs`, `cs.xml` and `CS.json` are one. An unknown name takes the default and says so."""
    plain = name.strip().lower()
    for ending in ENDINGS:
        plain = plain.removesuffix(ending)
    if plain in PIPELINES:
        return Choice(plain)
    asked = repr(name[:LONGEST_QUOTE]) + ("..." if len(name) > LONGEST_QUOTE else "")
    return Choice(DEFAULT, f"There is no config {asked}; known are {', '.join(PIPELINES)}. The default was taken.")


def choice_of_text(text: str) -> Choice:
    """The pipeline of a config text: JSON with `parameters`, or a name, or else (Gadgetron's XML, say) the default."""
    return choice_of_parameters(text) or choice_of_name(text)


def choice_of_parameters(text: str) -> Choice | None:
    """The pipeline that `{"parameters": {"config": ..., "customconfig": ...}}` asks for; None where the text is no such JSON.

    The custom config overrides the config; parameters that knerve does not know are ignored.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    parameters = document.get("parameters") if isinstance(document, dict) else None
    if not isinstance(parameters, dict):
        return None
    asked = [parameters.get(key) for key in ("customconfig", "config")]
    name = next((name for name in asked if isinstance(name, str) and name.strip()), None)
    return None if name is None else choice_of_name(name)
