"""What a protocol says, section by section: SI units, every value checked on its own.

Whether the sections fit together is asked where they are put together, in `protocol.py`. The presets give the same fields in
ms, mm and mT/m.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Literal, get_args

from knerve.sequences.errors import ProtocolError
from knerve.sequences.provenance import Provenance
from knerve.sequences.quantities import require_within

Orientation = Literal["axial", "coronal", "sagittal"]
EchoOrder = Literal["linear", "low-high", "asymmetric"]
RefocusingTrain = Literal["constant", "ramped", "traps", "hyperecho"]
FatMethod = Literal["none", "stir", "spair"]
AveragesAs = Literal["repeats", "distinct lines"]
SpareEchoes = Literal["fill", "skip"]
Dealing = Literal["monotone", "interleaved"]


@dataclass(frozen=True)
class Geometry:
    """Where the slices lie and how finely they are resolved.

    Attributes:
        voxel_read_m: along the readout, as acquired; `voxel_phase_m` along the phase encodes.
        slice_gap_m: between the edges of neighbouring slices.
        n_slices: of all packages together.
        phase_oversampling: extra field of view along the phase encodes, as a fraction: 1 doubles it.
    """

    orientation: Orientation
    field_of_view_read_m: float
    field_of_view_phase_m: float
    voxel_read_m: float
    voxel_phase_m: float
    slice_thickness_m: float
    slice_gap_m: float
    n_slices: int
    phase_oversampling: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that no scan has."""
        require_choice("geometry.orientation", self.orientation, get_args(Orientation))
        for along in ("read", "phase"):
            extent = getattr(self, f"field_of_view_{along}_m")
            require_within(f"geometry.field_of_view_{along}_m", extent, 0.01, 1.0)
            require_within(f"geometry.voxel_{along}_m", getattr(self, f"voxel_{along}_m"), 0.00005, extent / 8)
        require_within("geometry.slice_thickness_m", self.slice_thickness_m, 0.0002, 0.1)
        require_within("geometry.slice_gap_m", self.slice_gap_m, 0.0, 0.1)
        require_within("geometry.n_slices", self.n_slices, 1, 512)
        require_within("geometry.phase_oversampling", self.phase_oversampling, 0.0, 3.0)


@dataclass(frozen=True)
class EchoTrain:
    """One excitation and the echoes that follow it.

    Attributes:
        echo_train_length: echoes read per excitation, all of them encoded differently ("TSE factor").
        echo_spacing_s: from echo to echo, and from the excitation to the first.
        echo_time_s: of the echo that reads ky = 0; a whole number of echo spacings.
        order: how the lines are given to the echoes, see `echo_order.py`.
        dealing: how the lines of one echo are given to the shots, see `echo_order.py`.
        pixel_bandwidth_hz: receiver bandwidth per pixel; its inverse is the time of one readout.
        refocusing_train: the same angle throughout, the same with a ramp into it, low angles around one high angle at ky = 0,
            or a train mirrored about a 180.
        refocusing_angle_deg: the constant angle; of "traps" the angle at ky = 0.
    """

    echo_train_length: int
    echo_spacing_s: float
    echo_time_s: float
    pixel_bandwidth_hz: float
    order: EchoOrder = "linear"
    dealing: Dealing = "monotone"
    refocusing_train: RefocusingTrain = "constant"
    refocusing_angle_deg: float = 150.0
    excitation_angle_deg: float = 90.0

    def __post_init__(self) -> None:
        """Refuse values that no echo train has."""
        require_within("echo_train.echo_train_length", self.echo_train_length, 1, 256)
        require_within("echo_train.echo_spacing_s", self.echo_spacing_s, 0.001, 0.1)
        require_within("echo_train.echo_time_s", self.echo_time_s, 0.001, 2.0)
        require_within("echo_train.pixel_bandwidth_hz", self.pixel_bandwidth_hz, 10.0, 5000.0)
        require_choice("echo_train.order", self.order, get_args(EchoOrder))
        require_choice("echo_train.dealing", self.dealing, get_args(Dealing))
        require_choice("echo_train.refocusing_train", self.refocusing_train, get_args(RefocusingTrain))
        require_within("echo_train.refocusing_angle_deg", self.refocusing_angle_deg, 10.0, 180.0)
        require_within("echo_train.excitation_angle_deg", self.excitation_angle_deg, 1.0, 120.0)

    @property
    def readout_s(self) -> float:
        """Time of one readout."""
        return 1 / self.pixel_bandwidth_hz

    @property
    def centre_echo(self) -> int:
        """Index of the echo that reads ky = 0, the first is 0."""
        return round(self.echo_time_s / self.echo_spacing_s) - 1


@dataclass(frozen=True)
class Pulses:
    """Slice-selective pulses: durations, time-bandwidth products, and the refocused slice over the excited one."""

    excitation_duration_s: float = 0.00256
    excitation_time_bandwidth: float = 4.0
    refocusing_duration_s: float = 0.002
    refocusing_time_bandwidth: float = 3.0
    refocusing_slice_factor: float = 1.2

    def __post_init__(self) -> None:
        """Refuse values that no pulse has."""
        require_within("pulses.excitation_duration_s", self.excitation_duration_s, 0.0001, 0.02)
        require_within("pulses.refocusing_duration_s", self.refocusing_duration_s, 0.0001, 0.02)
        require_within("pulses.excitation_time_bandwidth", self.excitation_time_bandwidth, 1.0, 30.0)
        require_within("pulses.refocusing_time_bandwidth", self.refocusing_time_bandwidth, 1.0, 30.0)
        require_within("pulses.refocusing_slice_factor", self.refocusing_slice_factor, 1.0, 4.0)


@dataclass(frozen=True)
class FatSuppression:
    """What is played before each excitation against the signal of fat.

    Attributes:
        method: nothing, inversion of everything ("stir") or of fat alone ("spair").
        inversion_time_s: from the middle of the inversion to the middle of the excitation; None without an inversion.
        inversion_duration_s: of the inversion pulse.
    """

    method: FatMethod = "none"
    inversion_time_s: float | None = None
    inversion_duration_s: float = 0.01

    def __post_init__(self) -> None:
        """Refuse an inversion without its time and a time without inversion."""
        require_choice("fat_suppression.method", self.method, get_args(FatMethod))
        require_within("fat_suppression.inversion_duration_s", self.inversion_duration_s, 0.0001, 0.05)
        if self.method == "none":
            if self.inversion_time_s is not None:
                raise ProtocolError(
                    "fat_suppression.inversion_time_ms is given, but fat_suppression.method is 'none'. "
                    "Leave the time out, or choose stir or spair.",
                    field="fat_suppression.inversion_time_ms",
                )
            return
        usual_ms = {"stir": "220 (200 to 230 at 3 T)", "spair": "100 (80 to 120 at 3 T)"}[self.method]
        if self.inversion_time_s is None:
            raise ProtocolError(
                f"fat_suppression.method is '{self.method}' without fat_suppression.inversion_time_ms. Usual value: {usual_ms}.",
                field="fat_suppression.inversion_time_ms",
            )
        require_within("fat_suppression.inversion_time_s", self.inversion_time_s, self.inversion_duration_s, 3.0)

    @property
    def before_excitation_s(self) -> float:
        """From the start of the preparation to the middle of the excitation; 0 without one."""
        return 0.0 if self.inversion_time_s is None else self.inversion_time_s + self.inversion_duration_s / 2


@dataclass(frozen=True)
class Schedule:
    """How often everything is repeated.

    Attributes:
        averages: how many times the scan's shots are played; what they read is told by `undersampling.averages_as`.
        packages: groups of slices that are scanned one after the other.
        dummy_shots: shots of each package played before data are taken.
        shot_overhead_s: of each shot, before the middle of the excitation and after the last echo spacing: half the excitation,
            spoilers, dead times.
        prescan_s: coil reference and noise, once.
    """

    repetition_time_s: float
    averages: int = 1
    packages: int = 1
    dummy_shots: int = 0
    shot_overhead_s: float = 0.008
    prescan_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that no scan has."""
        require_within("schedule.repetition_time_s", self.repetition_time_s, 0.01, 60.0)
        require_within("schedule.averages", self.averages, 1, 64)
        require_within("schedule.packages", self.packages, 1, 64)
        require_within("schedule.dummy_shots", self.dummy_shots, 0, 64)
        require_within("schedule.shot_overhead_s", self.shot_overhead_s, 0.0, 1.0)
        require_within("schedule.prescan_s", self.prescan_s, 0.0, 600.0)


@dataclass(frozen=True)
class Undersampling:
    """Which lines of k-space are read.

    Attributes:
        acceleration: lines of the (oversampled, half-scanned) grid over the lines asked for. Our definition; a vendor's may
            differ.
        half_scan: acquired extent along ky over the symmetric one, 1 is all of it.
        calibration_lines: fully sampled lines about ky = 0.
        density_power: of the sampling density (1 - |ky|/kmax)^power outside them; 0 is uniform.
        largest_gap: lines from neighbour to neighbour at most; None allows five times the acceleration.
        candidates: patterns drawn, of which the one with the lowest interference is kept.
        averages_as: every average reads the same lines, or each reads others.
        spare_echoes: the last shot's spare echoes read more lines ("fill") or nothing ("skip").
        seed: of the pattern, the only thing that is random.
    """

    acceleration: float = 1.0
    half_scan: float = 1.0
    calibration_lines: int = 32
    density_power: float = 1.0
    largest_gap: int | None = None
    candidates: int = 16
    averages_as: AveragesAs = "repeats"
    spare_echoes: SpareEchoes = "fill"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no pattern has."""
        require_within("undersampling.acceleration", self.acceleration, 1.0, 64.0)
        require_within("undersampling.half_scan", self.half_scan, 0.55, 1.0)
        require_within("undersampling.calibration_lines", self.calibration_lines, 1, 1024)
        require_within("undersampling.density_power", self.density_power, 0.0, 12.0)
        require_within("undersampling.candidates", self.candidates, 1, 10_000)
        require_within("undersampling.seed", self.seed, 0, 2**32 - 1)
        if self.largest_gap is not None:
            require_within("undersampling.largest_gap", self.largest_gap, 1, 1024)
        require_choice("undersampling.averages_as", self.averages_as, get_args(AveragesAs))
        require_choice("undersampling.spare_echoes", self.spare_echoes, get_args(SpareEchoes))


@dataclass(frozen=True)
class System:
    """Limits of the scanner, per gradient axis. Examples, never a clearance for a real one."""

    name: str = "example 3 T"
    field_strength_t: float = 3.0
    max_gradient_t_per_m: float = 0.04
    max_slew_rate_t_per_m_per_s: float = 150.0

    def __post_init__(self) -> None:
        """Refuse values that no scanner has."""
        require_within("system.field_strength_t", self.field_strength_t, 0.01, 20.0)
        require_within("system.max_gradient_t_per_m", self.max_gradient_t_per_m, 0.001, 1.0)
        require_within("system.max_slew_rate_t_per_m_per_s", self.max_slew_rate_t_per_m_per_s, 1.0, 2000.0)


@dataclass(frozen=True)
class Sections:
    """Everything a protocol says, before anybody asks whether it can be played."""

    geometry: Geometry
    echo_train: EchoTrain
    schedule: Schedule
    undersampling: Undersampling = field(default_factory=Undersampling)
    pulses: Pulses = field(default_factory=Pulses)
    fat_suppression: FatSuppression = field(default_factory=FatSuppression)
    system: System = field(default_factory=System)
    provenance: Provenance = field(default_factory=Provenance)
    name: str = ""
    description: str = ""


def require_choice(field_name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of the choices, and name the one that looks most like it."""
    if value not in choices:
        nearest = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.0)[0]
        text = f"{field_name} is {value!r}; choose one of {', '.join(choices)}. Nearest valid value: {nearest}."
        raise ProtocolError(text, field=field_name, nearest=nearest)
