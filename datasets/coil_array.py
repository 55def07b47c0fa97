"""A receive array of circular loops around a leg, and what each loop hears: Biot-Savart sensitivities.

By reciprocity a loop receives from a point what a unit current in it would send there, B₁⁻ = Bx - i By for B₀ along z:

    B(r) = sum over segments of dl × (r - r_mid) / |r - r_mid|³        (unit current, constants left out)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

COARSE_STEP_MM = 2.5  # sensitivities are smooth inside the leg: computed at this pitch, interpolated to any raster
CONDUCTOR_MM = 10.0  # half the width of a loop's strip: closer to the wire the field does not grow
COILS_OF_TWO_RINGS = 20  # with more, loops of three rings keep a useful size
OVERLAP = 1.15  # diameter over pitch of a ring's loops at which neighbours decouple
LOOP_RADIUS_MM = (20.0, 55.0)

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class LegArray:
    """Loops in staggered rings around the z axis: loop i looks inwards at angle 360° i / n_coils from ring i % n_rings.

    Loops of one ring overlap as real arrays do to decouple neighbours (diameter about 1.15 times their pitch at 16 coils).
    The axis runs through `centre_mm` in patient coordinates, beside the magnet's axis for a left or a right leg.
    """

    n_coils: int = 16
    n_rings: int = 2
    ring_radius_mm: float = 85.0
    ring_distance_mm: float = 60.0
    loop_radius_mm: float = 38.0
    segments_per_loop: int = 48
    centre_mm: Vector = (0.0, 0.0, 0.0)

    @classmethod
    def around(cls, centre_mm: Vector, n_coils: int) -> LegArray:
        """The array of this many loops whose rings cover the knee at `centre_mm`, loops sized to decouple."""
        n_rings = 2 if n_coils <= COILS_OF_TWO_RINGS else 3
        pitch_mm = 2 * math.pi * cls.ring_radius_mm * n_rings / n_coils
        smallest, largest = LOOP_RADIUS_MM
        radius_mm = min(max(OVERLAP * pitch_mm / 2, smallest), largest)
        distance_mm = 1.6 * radius_mm
        return cls(n_coils, n_rings, ring_distance_mm=distance_mm, loop_radius_mm=radius_mm, centre_mm=centre_mm)

    def sensitivities(self, x_mm: Tensor, y_mm: Tensor, z_mm: float) -> Tensor:
        """Complex sensitivities (coil, y, x) in the plane z on the grid of `x_mm (x,)` and `y_mm (y,)`, complex64.

        Scaled so that the root sum of squares on the axis, at z = 0, is 1.
        """
        plane = torch.stack(torch.broadcast_tensors(x_mm[None, :], y_mm[:, None], torch.tensor(z_mm)), dim=-1)
        return self.at_points(plane.to(torch.float64))

    def at_points(self, points_mm: Tensor) -> Tensor:
        """Complex sensitivities (coil, ...) at patient coordinates (..., 3), scaled to 1 at the array's centre, complex64."""
        points = points_mm - torch.tensor(self.centre_mm, dtype=torch.float64)
        fields = [self._field(loop, points) for loop in range(self.n_coils)]
        middle = torch.zeros(1, 1, 3, dtype=torch.float64)
        in_middle = torch.stack([self._field(loop, middle) for loop in range(self.n_coils)])
        return (torch.stack(fields) / in_middle.abs().square().sum().sqrt()).to(torch.complex64)

    def _field(self, loop: int, points: Tensor) -> Tensor:
        """Bx - i By of one loop at `points (..., 3)` from the array's centre."""
        middles, steps = self._segments(loop)
        flat = points.reshape(-1, 3)
        distances = torch.cdist(flat, middles, compute_mode="donot_use_mm_for_euclid_dist")
        weights = distances.clamp(min=CONDUCTOR_MM) ** -3  # (point, segment)
        # the sum over segments of w dl × (r - r_mid), with r taken out of the sum
        field = torch.linalg.cross(weights @ steps, flat) - weights @ torch.linalg.cross(steps, middles)
        return torch.complex(field[:, 0], -field[:, 1]).reshape(points.shape[:-1])

    def _segments(self, loop: int) -> tuple[Tensor, Tensor]:
        """Midpoints and directed lengths of a loop's straight segments, (segment, 3) each, mm."""
        around = 2 * math.pi * loop / self.n_coils
        inwards = torch.tensor([math.cos(around), math.sin(around), 0.0], dtype=torch.float64)
        sideways = torch.tensor([-math.sin(around), math.cos(around), 0.0], dtype=torch.float64)
        upwards = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        height = (loop % self.n_rings - (self.n_rings - 1) / 2) * self.ring_distance_mm
        angles = torch.linspace(0, 2 * math.pi, self.segments_per_loop + 1, dtype=torch.float64)[:, None]
        wire = self.ring_radius_mm * inwards + height * upwards
        wire = wire + self.loop_radius_mm * (torch.cos(angles) * sideways + torch.sin(angles) * upwards)
        return (wire[1:] + wire[:-1]) / 2, wire[1:] - wire[:-1]


def on_raster(array: LegArray, x_mm: Tensor, y_mm: Tensor, z_mm: float) -> Tensor:
    """Sensitivities (coil, y, x) on a fine, evenly spaced raster, by bicubic interpolation from a coarse grid."""
    coarse_x, coarse_y = _coarse(x_mm), _coarse(y_mm)
    maps = array.sensitivities(coarse_x, coarse_y, z_mm)
    parts = torch.view_as_real(maps).movedim(-1, 1)  # (coil, real and imaginary, y, x)
    size = (len(y_mm), len(x_mm))
    fine = [torch.complex(*interpolate(p[None], size, mode="bicubic", align_corners=True)[0]) for p in parts]
    return torch.stack(fine)


def _coarse(fine_mm: Tensor) -> Tensor:
    """Evenly spaced points from the first to the last of `fine_mm`, about `COARSE_STEP_MM` apart."""
    first, last = float(fine_mm[0]), float(fine_mm[-1])
    return torch.linspace(first, last, max(4, math.ceil((last - first) / COARSE_STEP_MM) + 1), dtype=torch.float64)


def noise_mixing(n_coils: int, coupling: float, generator: torch.Generator) -> Tensor:
    """Matrix B (coil, coil) that gives white noise the correlations of an array: noise = B white, covariance B Bᴴ.

    Neighbours share noise through the leg: their correlation is about 2 `coupling`. Channels differ by some ten percent in
    gain; the mean variance is 1.
    """
    phases = torch.rand(n_coils, generator=generator, dtype=torch.float64) * 2 * math.pi
    gains = 1 + 0.1 * torch.randn(n_coils, generator=generator, dtype=torch.float64).clamp(-2, 2)
    mixing = torch.eye(n_coils, dtype=torch.complex128)
    for i in range(n_coils if n_coils > 2 else n_coils - 1):
        shared = coupling * torch.polar(torch.ones(1, dtype=torch.float64), phases[i])[0]
        mixing[i, (i + 1) % n_coils] += shared
        mixing[(i + 1) % n_coils, i] += shared.conj()
    mixing = gains[:, None] * mixing
    return (mixing / mixing.abs().square().sum(1).mean().sqrt()).to(torch.complex64)
