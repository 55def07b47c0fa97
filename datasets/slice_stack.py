"""The slices of a scan as planes in the patient, and the matrix and fields of view that they are read with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.scan_plane import ScanPlane, Vector
from knerve.sequences.protocol import Protocol
from knerve.sequences.sections import Orientation
from knerve.sequences.timing import scan_time
from knerve.sequences.tse_timing import READ_OVERSAMPLING, sampling

Real = NDArray[np.float64]

# read and phase directions (LPS), as images are shown: columns towards the patient's left or back, rows towards back or feet
DIRECTIONS: dict[Orientation, tuple[Vector, Vector]] = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}


@dataclass(frozen=True)
class ScanGrid:
    """How a slice is encoded.

    Attributes:
        n_read: columns of the image; readouts have twice as many samples.
        n_phase: rows of the image.
        n_lines: lines of the whole grid, with phase oversampling.
        fov_read_mm: of the image.
        fov_phase_mm: of the image.
        dwell_s: time of one sample.
        thickness_mm: of the slice.
    """

    n_read: int
    n_phase: int
    n_lines: int
    fov_read_mm: float
    fov_phase_mm: float
    dwell_s: float
    thickness_mm: float

    @property
    def n_samples(self) -> int:
        """Samples of a readout."""
        return READ_OVERSAMPLING * self.n_read

    @property
    def encoded_fov_mm(self) -> tuple[float, float]:
        """Along read and phase, with oversampling."""
        return READ_OVERSAMPLING * self.fov_read_mm, self.fov_phase_mm * self.n_lines / self.n_phase

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Along read and phase."""
        return self.fov_read_mm / self.n_read, self.fov_phase_mm / self.n_phase

    @property
    def pixel_bandwidth_hz(self) -> float:
        """Of a pixel along the readout, as played."""
        return 1 / (self.dwell_s * self.n_samples)

    @property
    def kx(self) -> Real:
        """Samples of a readout, cycles per mm."""
        return (np.arange(self.n_samples) - self.n_samples // 2) / self.encoded_fov_mm[0]

    @property
    def ky(self) -> Real:
        """Lines of the whole grid, cycles per mm."""
        return (np.arange(self.n_lines) - self.n_lines // 2) / self.encoded_fov_mm[1]

    @property
    def image_axes_mm(self) -> tuple[Real, Real]:
        """Pixel centres (x, y) of the image about the plane's centre."""
        (dx, dy), (n_x, n_y) = self.pixel_mm, (self.n_read, self.n_phase)
        return np.asarray((np.arange(n_x) - n_x // 2) * dx), np.asarray((np.arange(n_y) - n_y // 2) * dy)


def scan_grid(protocol: Protocol) -> ScanGrid:
    """The grid of a protocol, its readout as the exported sequence plays it."""
    geometry, time, readout = protocol.geometry, scan_time(protocol), sampling(protocol)
    return ScanGrid(
        n_read=readout.n_samples // READ_OVERSAMPLING,
        n_phase=time.n_lines_image,
        n_lines=time.n_lines_full,
        fov_read_mm=geometry.field_of_view_read_m * 1e3,
        fov_phase_mm=geometry.field_of_view_phase_m * 1e3,
        dwell_s=readout.dwell_s,
        thickness_mm=geometry.slice_thickness_m * 1e3,
    )


def slice_stack(
    protocol: Protocol, centre_mm: Vector, orientation: Orientation, tilt_deg: tuple[float, float]
) -> tuple[ScanPlane, ...]:
    """The planes of all slices along the normal, in the order of their numbers.

    Args:
        protocol: gives number, thickness and gap.
        centre_mm: of the stack.
        orientation: before it is tilted.
        tilt_deg: turns about the read and then about the phase direction.
    """
    geometry = protocol.geometry
    read, phase = (np.array(direction) for direction in DIRECTIONS[orientation])
    phase = _turned(phase, read, tilt_deg[0])
    read = _turned(read, phase, tilt_deg[1])
    middle = ScanPlane(centre_mm, _vector(read), _vector(phase), _vector(np.cross(read, phase)))
    pitch_mm = (geometry.slice_thickness_m + geometry.slice_gap_m) * 1e3
    return tuple(middle.shifted((i - (geometry.n_slices - 1) / 2) * pitch_mm) for i in range(geometry.n_slices))


def _turned(vector: Real, about: Real, angle_deg: float) -> Real:
    """A vector at right angles to the unit vector `about`, turned about it."""
    angle = math.radians(angle_deg)
    return np.asarray(math.cos(angle) * vector + math.sin(angle) * np.cross(about, vector))


def _vector(values: Real) -> Vector:
    x, y, z = (float(value) + 0.0 for value in values)
    return x, y, z
