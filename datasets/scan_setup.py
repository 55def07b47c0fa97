"""Everything that is settled before the first slice of a simulated scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.anatomy_extras import Placed
from knerve.datasets.coil_array import LegArray
from knerve.datasets.echo_amplitudes import EchoAmplitudes, echo_amplitudes
from knerve.datasets.field_displacement import BentField, bent_field
from knerve.datasets.scan_noise import ReceiverNoise, receiver_noise, stream
from knerve.datasets.scan_order import ScanOrder, echo_of_every_line, scan_order
from knerve.datasets.scan_plane import Anatomy, ScanPlane, Vector
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.datasets.slice_stack import ScanGrid, scan_grid, slice_stack
from knerve.datasets.slice_weights import SliceProfile, resonance_hz, slice_profile
from knerve.datasets.smooth_field import SmoothField
from knerve.datasets.spin_groups import SpinGroup, spin_groups
from knerve.datasets.tissue_images import Band
from knerve.sequences.echo_order import EchoPlan, plan_echoes
from knerve.sequences.protocol import Protocol

Real = NDArray[np.float64]
Index = NDArray[np.int64]

MAGNET_CENTRE_MM = (0.0, 0.0, 0.0)
REACH_PHASE_MM = 250.0  # nothing of the object lies farther from the slice's centre


@dataclass(frozen=True)
class ScanSetup:
    """A scan that is ready to be played.

    Attributes:
        protocol: that is played; with every line where the settings ask for them.
        plan: lines of echoes and shots.
        order: all readouts in time.
        grid: how slices are encoded.
        planes: of all slices.
        groups: of spins in the object.
        amplitudes: their echoes.
        profile: of a slice.
        slice_shift_mm: (group): displacement of its slice.
        read_shift_mm: (group): displacement along the readout.
        read_mm_per_hz: displacement of spins that precess faster by 1 Hz.
        band: of k-space that slices are drawn with.
        array: of receive coils.
        noise: of the receiver.
        b0: unit field of the deviation of the main field.
        b1: unit field of the deviation of the flip angles.
        bent: field of the object itself, None where it bends none.
        moved_mm: (average, shot, 3): how far the object lies from its first place.
    """

    protocol: Protocol
    settings: SimulationSettings
    plan: EchoPlan
    order: ScanOrder
    grid: ScanGrid
    planes: tuple[ScanPlane, ...]
    groups: tuple[SpinGroup, ...]
    amplitudes: EchoAmplitudes
    profile: SliceProfile
    slice_shift_mm: Real
    read_shift_mm: Real
    read_mm_per_hz: float
    band: Band
    array: LegArray
    noise: ReceiverNoise
    b0: SmoothField
    b1: SmoothField
    bent: BentField | None
    moved_mm: Real

    @property
    def echo_of_line(self) -> Index:
        """(ky) of the whole grid."""
        return echo_of_every_line(self.plan)


def scan_setup(protocol: Protocol, anatomy: Anatomy, settings: SimulationSettings) -> ScanSetup:
    """Prepare a scan.

    Raises:
        ProtocolError: a tissue that the tissue table does not have.
    """
    if settings.fully_sampled:
        every_line = replace(protocol.undersampling, acceleration=1.0, half_scan=1.0, averages_as="repeats")
        protocol = replace(protocol, undersampling=every_line)
    plan, grid, field_t = plan_echoes(protocol), scan_grid(protocol), protocol.system.field_strength_t
    centre_mm = settings.centre_mm or _position(anatomy)
    planes = slice_stack(protocol, centre_mm, settings.orientation or protocol.geometry.orientation, settings.tilt_deg)
    groups = spin_groups(anatomy.tissues)
    amplitudes = echo_amplitudes(protocol, groups, plan.centre_echo, settings.b1_variation)
    muscle = echo_amplitudes(protocol, spin_groups(["muscle"]), plan.centre_echo, 0.0)
    profile = slice_profile(protocol, amplitudes.train, plan.centre_echo)
    array = LegArray.around(_position(anatomy), settings.n_coils)
    shifts_hz = np.array([resonance_hz(group.shift_ppm, field_t) for group in groups])
    read_mm_per_hz = grid.pixel_mm[0] / grid.pixel_bandwidth_hz
    random = np.random.default_rng(stream(settings.seed, "fields"))
    return ScanSetup(
        protocol=protocol,
        settings=settings,
        plan=plan,
        order=scan_order(protocol, plan),
        grid=grid,
        planes=planes,
        groups=groups,
        amplitudes=amplitudes,
        profile=profile,
        slice_shift_mm=shifts_hz * profile.mm_per_hz,
        read_shift_mm=shifts_hz * read_mm_per_hz,
        read_mm_per_hz=read_mm_per_hz,
        band=Band(np.abs(grid.kx).max(), np.abs(grid.ky).max(), grid.fov_read_mm, REACH_PHASE_MM),
        array=array,
        noise=receiver_noise(settings, array, grid, float(muscle.nominal[0, plan.centre_echo])),
        b0=SmoothField.random(array.centre_mm, random),
        b1=SmoothField.random(array.centre_mm, random),
        bent=bent_field(anatomy, read_mm_per_hz),
        moved_mm=_motion(settings, plan),
    )


def _position(anatomy: Anatomy) -> Vector:
    return anatomy.position_mm if isinstance(anatomy, Placed) else MAGNET_CENTRE_MM


def _motion(settings: SimulationSettings, plan: EchoPlan) -> Real:
    """(average, shot, 3): a random walk from 0 whose standard deviation over the scan is `motion_mm` along each axis."""
    n_averages, n_shots, _ = plan.lines.shape
    random = np.random.default_rng(stream(settings.seed, "motion"))
    walk = random.standard_normal((n_averages * n_shots, 3)).cumsum(axis=0)
    walk -= walk[0]
    spread = np.maximum(walk.std(axis=0), 1e-9)
    return np.asarray(walk * settings.motion_mm / spread).reshape(n_averages, n_shots, 3)
