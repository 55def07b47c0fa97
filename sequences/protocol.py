"""A protocol: everything a scan is made of, checked to be playable, from a preset or a TOML file.

    Protocol.load("navigate")          a preset, one of preset_names()
    Protocol.load(Path("knee.toml"))   your own

`dataclasses.replace` changes a section and checks everything again.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

from knerve.sequences.errors import ProtocolError
from knerve.sequences.feasibility import check_feasible
from knerve.sequences.protocol_file import read_sections
from knerve.sequences.sections import Sections


@dataclass(frozen=True)
class Protocol(Sections):
    """The sections of a protocol that can be played; making one that cannot is refused with the nearest valid value.

    Raises:
        ProtocolError: a value or their combination is impossible.
    """

    def __post_init__(self) -> None:
        """Refuse sections that do not fit together."""
        check_feasible(self)

    @classmethod
    def load(cls, source: str | Path) -> Protocol:
        """Read a protocol: a preset by its name, or a file, which ends in `.toml`.

        Raises:
            ProtocolError: no such preset or file, an unknown field, or a protocol that cannot be played.
        """
        path = Path(source)
        if path.suffix == ".toml":
            return cls.from_toml(_read_text(path), name=path.stem)
        presets = preset_names()
        if str(source) not in presets:
            nearest = difflib.get_close_matches(str(source), presets, n=1, cutoff=0.0)[0]
            raise ProtocolError(
                f"There is no preset {str(source)!r}; there are {', '.join(presets)}. Nearest valid value: {nearest}. "
                "Files of your own end in .toml.",
                nearest=nearest,
            )
        text = (resources.files("knerve.sequences") / "presets" / f"{source}.toml").read_text(encoding="utf-8")
        return cls.from_toml(text, name=str(source))

    @classmethod
    def from_toml(cls, text: str, *, name: str = "") -> Protocol:
        """Read a protocol from the text of a TOML file; `name` stands in where the text has none."""
        sections = read_sections(text, name=name)
        return cls(**{field.name: getattr(sections, field.name) for field in fields(sections)})


def preset_names() -> tuple[str, ...]:
    """Names of the protocols that come with knerve."""
    files = (resources.files("knerve.sequences") / "presets").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ProtocolError(
            f"The protocol file {path} cannot be read: {problem}. Give the path of a TOML file."
        ) from problem
