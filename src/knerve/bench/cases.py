"""The scans that are reconstructed, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One simulated slice, undersampled along the phase encode at random, denser towards the centre.

    Attributes:
        name: as the command line takes it.
        n_lines: phase encodes sampled, with the calibration lines.
        n_calibration: fully sampled central lines.
        n_phase_encodes: lines of the whole grid.
        n_readout: image columns; the readout is sampled twice as densely.
        n_coils: receive channels.
        muscle_snr: of a fully sampled image; 4.4 gives the whole leg a mean signal of 25 noise deviations (of a real part).
        seed: of pattern and noise.
    """

    name: str
    n_lines: int
    n_calibration: int
    n_phase_encodes: int = 552
    n_readout: int = 484
    n_coils: int = 16
    muscle_snr: float = 4.4
    seed: int = 1

    @property
    def acceleration(self) -> float:
        """Lines of the grid over lines sampled."""
        return self.n_phase_encodes / self.n_lines

    def words(self) -> str:
        """The case for a table's title."""
        return (
            f"{self.name}: {self.n_phase_encodes} phase encodes x {self.n_readout} columns, {self.n_coils} coils, "
            f"{self.n_lines} lines sampled, {self.n_calibration} of them for calibration"
        )


CASES = {
    case.name: case
    for case in (
        Case("R2", n_lines=276, n_calibration=32),
        Case("R3", n_lines=184, n_calibration=32),
        Case("R4", n_lines=138, n_calibration=28),
        Case("R6", n_lines=92, n_calibration=24),
        Case("small", n_lines=64, n_calibration=24, n_phase_encodes=128, n_readout=112, n_coils=6, muscle_snr=13.0),
    )
}


def find_cases(names: Sequence[str]) -> tuple[Case, ...]:
    """Cases by name, each once.

    Raises:
        ValueError: a name is unknown, or none was given.
    """
    unknown = [name for name in names if name not in CASES]
    if unknown or not names:
        raise ValueError(f"no case is called {', '.join(unknown) or 'nothing'!r}; choose of {', '.join(CASES)}.")
    return tuple(CASES[name] for name in dict.fromkeys(names))
