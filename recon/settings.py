"""Every choice the reconstruction makes for the user, with its default in plain sight."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from knerve.recon.errors import SettingsError

Method = Literal["zero-filled", "sense", "cs", "dl"]
Compression = Literal["geometric", "svd", "none"]
Shrinkage = Literal["neighbours", "soft"]
SnrMap = Literal["none", "analytic", "replica"]
WHOLE_NUMBERS = (
    "virtual_coils",
    "map_sets",
    "kernel_width",
    "calibration_width",
    "max_iterations",
    "replicas",
    "seed",
    "slices_per_batch",
    "threads",
)

MOST_TOLERANCE = 10.0


@dataclass(frozen=True)
class Settings:
    """Settings of one reconstruction.

    Attributes:
        method: `zero-filled` (combined coils, no unfolding), `sense` (least squares), `cs` (compressed sensing) or `dl` (that,
            refined by a trained network).
        compression: coil compression per readout position ("geometric", Zhang 2013), for the whole scan ("svd",
            Buehrer 2007), or none.
        virtual_coils: how many virtual coils to keep; None keeps `retained_energy`.
        retained_energy: fraction of the calibration signal's energy that the virtual coils keep.
        map_sets: sets of coil sensitivities, 1 or 2 (2 for a field of view smaller than the object); None decides from the data.
        kernel_width: k-space kernel of ESPIRiT, in samples.
        calibration_width: fully sampled central lines to use along each phase-encode direction; None uses all there are.
        regularisation: multiplies the automatic, noise-calibrated weights of `cs`; 1 needs no tuning.
        wavelets: multiplies the weight of the wavelet prior once more; 0 leaves it out.
        total_variation: the same for total variation.
        shrinkage: of wavelet coefficients: by the power of their "neighbours", or "soft", the convex textbook's way.
        wavelet: orthogonal wavelet of `cs`: "haar", "db2", "db3" or "db4".
        max_iterations: upper bound of the iterative methods.
        tolerance: iterations stop when the image changes by less than this, in noise standard deviations.
        phase_constraint: use a smooth phase to fill what partial Fourier left out.
        snr_map: how the noise amplification is found: not at all, analytically, or with pseudo replicas (Robson 2008).
        replicas: number of pseudo replicas.
        seed: of the pseudo replicas, the only thing that is random.
        slices_per_batch: slices reconstructed at once; None decides from the memory.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; None leaves the machine's default. Other numbers of threads may round differently.
    """

    method: Method = "cs"
    compression: Compression = "geometric"
    virtual_coils: int | None = None
    retained_energy: float = 0.998
    map_sets: Literal[1, 2] | None = None
    kernel_width: int = 6
    calibration_width: int | None = None
    regularisation: float = 1.0
    wavelets: float = 1.0
    total_variation: float = 1.0
    shrinkage: Shrinkage = "neighbours"
    wavelet: Literal["haar", "db2", "db3", "db4"] = "db4"
    max_iterations: int = 100
    tolerance: float = 0.5
    phase_constraint: bool = True
    snr_map: SnrMap = "analytic"
    replicas: int = 32
    seed: int = 0
    slices_per_batch: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that no reconstruction can use."""
        for name in WHOLE_NUMBERS:
            value = getattr(self, name)
            if value is not None and type(value) is not int:
                raise SettingsError(f"{name} is {value!r}; it must be a whole number.")
        for name in ("retained_energy", "regularisation", "wavelets", "total_variation", "tolerance"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise SettingsError(f"{name} is {value!r}; it must be a number.")
        _one_of("method", self.method, get_args(Method))
        _one_of("compression", self.compression, get_args(Compression))
        _one_of("snr_map", self.snr_map, get_args(SnrMap))
        _one_of("shrinkage", self.shrinkage, get_args(Shrinkage))
        _one_of("wavelet", self.wavelet, ("haar", "db2", "db3", "db4"))
        _one_of("device", self.device, ("auto", "cpu", "cuda"))
        _one_of("map_sets", self.map_sets, (1, 2, None))
        _within("retained_energy", self.retained_energy, 0.5, 1.0)
        _within("regularisation", self.regularisation, 0.0, 1e3)
        _within("wavelets", self.wavelets, 0.0, 1e3)
        _within("total_variation", self.total_variation, 0.0, 1e3)
        _within("tolerance", self.tolerance, 0.0, MOST_TOLERANCE)
        _within("kernel_width", self.kernel_width, 3, 12)
        _within("max_iterations", self.max_iterations, 1, 100_000)
        _within("replicas", self.replicas, 2, 100_000)
        _within("seed", self.seed, -(2**63), 2**63 - 1)
        for name, low, high in (
            ("virtual_coils", 1, 100_000),
            ("calibration_width", 6, 100_000),
            ("slices_per_batch", 1, 100_000),
            ("threads", 1, 1024),
        ):
            value = getattr(self, name)
            if value is not None:
                _within(name, value, low, high)

    def as_dict(self) -> dict[str, object]:
        """Plain names and values, for reports."""
        return asdict(self)


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; choose one of {', '.join(map(str, allowed))}.")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise SettingsError(f"{name} is {value}; it must lie between {low} and {high}.")
