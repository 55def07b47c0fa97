"""What a simulated scan is like beside its protocol: coils, noise, imperfections of the field, motion, and where it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.scan_plane import Vector
from knerve.recon.errors import SettingsError
from knerve.sequences.sections import Orientation

N_COILS = (8, 32)
LARGEST_B1_VARIATION = 0.4


@dataclass(frozen=True, eq=False)
class SimulationSettings:
    """Everything that a protocol does not say; every default is a usual knee scan at 3 T.

    Attributes:
        n_coils: loops around the leg, 8 to 32.
        seed: of everything random here: noise, its coupling, field shapes, motion. The pattern's seed is the protocol's.
        centre_mm: middle of the stack in patient coordinates (LPS); None takes the object's own position, or else the magnet's
            centre.
        orientation: of the stack; None as the protocol says.
        tilt_deg: turns the stack about its read and then about its phase direction: an oblique one.
        muscle_snr: signal-to-noise ratio of muscle near the middle of the array in a fully sampled image of one average.
        noise_density: instead of that, noise in signal of 1 mm³ of water per √Hz: the same for all protocols makes their
            signal-to-noise ratios comparable.
        noise_free: imaging readouts without noise; the noise readouts stay.
        noise_coupling: neighbouring channels correlate by about twice this.
        noise_covariance: (coil, coil) of the channels instead of that, up to a common scale.
        b0_variation_hz: largest deviation of the shimmed main field in the knee.
        b1_variation: largest relative deviation of the flip angles in the knee.
        object_phase_rad: of the object itself, from the middle to the edge of the field of view.
        motion_mm: standard deviation of the in-plane position over the scan; the object drifts from shot to shot.
        fully_sampled: read every line of the grid, in as many shots as that takes.
    """

    n_coils: int = 16
    seed: int = 0
    centre_mm: Vector | None = None
    orientation: Orientation | None = None
    tilt_deg: tuple[float, float] = (0.0, 0.0)
    muscle_snr: float = 13.0
    noise_density: float | None = None
    noise_free: bool = False
    noise_coupling: float = 0.13
    noise_covariance: NDArray[np.complex128] | None = None
    b0_variation_hz: float = 12.0
    b1_variation: float = 0.1
    object_phase_rad: float = 1.0
    motion_mm: float = 0.0
    fully_sampled: bool = False

    def __post_init__(self) -> None:
        """Refuse what no scan can have.

        Raises:
            SettingsError: with what was expected.
        """
        if not N_COILS[0] <= self.n_coils <= N_COILS[1]:
            raise SettingsError(f"n_coils is {self.n_coils}; a leg array has {N_COILS[0]} to {N_COILS[1]} loops here.")
        if self.orientation is not None and self.orientation not in get_args(Orientation):
            raise SettingsError(
                f"orientation is {self.orientation!r}; choose {', '.join(get_args(Orientation))}, or None for the protocol's, "
                "and tilt_deg for an oblique stack."
            )
        for name in ("muscle_snr", "noise_density"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SettingsError(
                    f"{name} is {value}; it must be positive. For a scan without noise set noise_free=True."
                )
        self._require_within("seed", self.seed, 0, 2**63 - 1)
        self._require_within("b1_variation", self.b1_variation, 0.0, LARGEST_B1_VARIATION)
        self._require_within("b0_variation_hz", self.b0_variation_hz, 0.0, 1000.0)
        self._require_within("noise_coupling", self.noise_coupling, 0.0, 0.4)
        self._require_within("object_phase_rad", self.object_phase_rad, 0.0, 10.0)
        self._require_within("motion_mm", self.motion_mm, 0.0, 20.0)
        for number in (*(self.centre_mm or ()), *self.tilt_deg):
            self._require_within("every number of centre_mm and tilt_deg", number, -1000.0, 1000.0)
        if self.noise_covariance is not None:
            self._check_covariance(self.noise_covariance)

    def _require_within(self, name: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise SettingsError(f"{name} is {value}; it must lie between {low:g} and {high:g}.")

    def _check_covariance(self, covariance: NDArray[np.complex128]) -> None:
        expected = (self.n_coils, self.n_coils)
        if np.shape(covariance) != expected:
            raise SettingsError(
                f"noise_covariance has the shape {np.shape(covariance)}; {self.n_coils} coils need {expected}."
            )
        matrix = np.asarray(covariance, dtype=np.complex128)
        if not np.allclose(matrix, matrix.conj().T) or np.linalg.eigvalsh(matrix).min() <= 0:
            raise SettingsError("noise_covariance is no covariance: it must be Hermitian with positive eigenvalues.")
