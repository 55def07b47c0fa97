"""A raw scan, as every reader delivers it and every reconstruction step takes it.

The shape language of the whole package:

    kspace (slice, coil, ky, kx)            2-D scans
    kspace (slice, coil, kz, ky, kx)        3-D scans; one slab is one entry of `slice`
    counts (slice, ky) or (slice, kz, ky)   how many readouts were averaged into each line; 0 = not sampled

The `slice` axis lists every image to be made: each slice of each repetition, contrast, phase and set is one entry, and
`frames[i]` says which. The centre of k-space is at index n // 2 of every axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from knerve.gpu.host_copies import lines_to_device

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """Matrix and field of view of one encoding, axes in the order (x, y, z) = (readout, phase encode, partition)."""

    encoded_matrix: tuple[int, int, int]
    encoded_fov_mm: Vector
    recon_matrix: tuple[int, int, int]
    recon_fov_mm: Vector


@dataclass(frozen=True)
class Frame:
    """Which image one entry of the `slice` axis becomes, and where it lies.

    `position_mm` is the centre of the slice or slab; directions are unit vectors; all in patient coordinates (LPS). Where
    the raw data carry no directions, `geometry_known` is False and the identity stands in their place.
    """

    slice: int = 0
    contrast: int = 0
    phase: int = 0
    repetition: int = 0
    set: int = 0
    position_mm: Vector = (0.0, 0.0, 0.0)
    read_dir: Vector = (1.0, 0.0, 0.0)
    phase_dir: Vector = (0.0, 1.0, 0.0)
    slice_dir: Vector = (0.0, 0.0, 1.0)
    table_position_mm: Vector = (0.0, 0.0, 0.0)
    geometry_known: bool = False
    acquisition_time_stamp: int = 0


@dataclass(frozen=True)
class Noise:
    """Noise readouts: `samples (coil, sample)` complex64.

    `variance_scale` turns their covariance into that of one imaging sample (receiver bandwidths and dwell times differ).
    """

    samples: Tensor
    variance_scale: float = 1.0


@dataclass(frozen=True)
class Calibration:
    """Separately acquired calibration lines on their own grid, `counts` as in `RawScan`.

    `kspace (calibration, coil, [kz,] ky, kx)`; `of_frame[i]` is the entry that calibrates frame i of the scan. `fov_mm`
    (x, y, z) is the field of view that its sample spacing encodes.
    """

    kspace: Tensor
    counts: Tensor
    of_frame: tuple[int, ...]
    fov_mm: Vector


@dataclass(frozen=True)
class ScanHeader:
    """What images carry onwards: patient, study and sequence as plain text and numbers, empty where unknown.

    Times in ms, angles in degrees, one entry per contrast; dates `YYYY-MM-DD`, times `HH:MM:SS`.
    Images must share the study and frame-of-reference identifiers with the scanner's own.
    """

    patient_name: str = ""
    patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""  # M, F, O or empty
    patient_weight_kg: float | None = None
    patient_position: str = ""  # HFS, FFS, ... or empty
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    study_instance_uid: str = ""
    accession_number: str = ""
    referring_physician: str = ""
    study_description: str = ""
    body_part: str = ""
    series_date: str = ""
    series_time: str = ""
    series_description: str = ""
    series_instance_uid_root: str = ""
    frame_of_reference_uid: str = ""
    measurement_id: str = ""
    initial_series_number: int | None = None
    protocol_name: str = ""
    sequence_name: str = ""
    sequence_type: str = ""
    institution: str = ""
    station: str = ""
    vendor: str = ""
    model: str = ""
    device_id: str = ""
    device_serial_number: str = ""
    field_strength_t: float | None = None
    resonance_frequency_hz: float | None = None
    tr_ms: tuple[float, ...] = ()
    te_ms: tuple[float, ...] = ()
    ti_ms: tuple[float, ...] = ()
    flip_angle_deg: tuple[float, ...] = ()
    echo_spacing_ms: tuple[float, ...] = ()
    echo_train_length: int | None = None
    acceleration_asked: tuple[float, float] = (1.0, 1.0)  # along ky and kz, as the header claims
    calibration_mode: str = ""
    sample_time_us: float | None = None


@dataclass(frozen=True)
class RawScan:
    """Raw multi-coil Cartesian k-space of one scan; shapes in the module docstring.

    Attributes:
        kspace: complex64, mean over averages, zero where nothing was sampled; oversampled along kx as acquired.
        counts: int32, readouts averaged per line.
        frames: one entry per index of the `slice` axis.
        grid: matrix and field of view, encoded and to be reconstructed.
        header: what images carry onwards.
        sampled_kx: (first, last + 1) column that the readouts fill; less than the full width for an asymmetric echo.
        noise: noise readouts, or None.
        calibration: separate calibration lines, or None when they are embedded in `kspace`.
        notes: every assumption made and problem met while reading, in words for the user.
    """

    kspace: Tensor
    counts: Tensor
    frames: tuple[Frame, ...]
    grid: Grid
    sampled_kx: tuple[int, int]
    header: ScanHeader = field(default_factory=ScanHeader)
    noise: Noise | None = None
    calibration: Calibration | None = None
    notes: tuple[str, ...] = ()

    @property
    def mask(self) -> Tensor:
        """Sampled lines, bool, (slice, ky) or (slice, kz, ky)."""
        return self.counts > 0

    @property
    def n_slices(self) -> int:
        """Number of images to be made."""
        return self.kspace.shape[0]

    @property
    def n_coils(self) -> int:
        """Number of receive channels."""
        return self.kspace.shape[1]

    @property
    def is_3d(self) -> bool:
        """Whether partitions (kz) are encoded."""
        return self.kspace.ndim == 5

    @property
    def acceleration(self) -> float:
        """Grid lines over lines sampled, of the least sampled slice."""
        lines = self.mask.flatten(1)
        return lines.shape[1] / max(1, int(lines.sum(1).min()))

    def select(self, slices: range) -> RawScan:
        """The same scan with only these entries of the `slice` axis (views, nothing is copied)."""
        start, stop = slices.start, slices.stop
        calibration = self.calibration
        if calibration is not None:
            calibration = replace(calibration, of_frame=calibration.of_frame[start:stop])
        return replace(
            self,
            kspace=self.kspace[start:stop],
            counts=self.counts[start:stop],
            frames=self.frames[start:stop],
            calibration=calibration,
        )

    def batches(self, slices_per_batch: int) -> Iterator[RawScan]:
        """The scan in runs of at most `slices_per_batch` slices, in order."""
        for start in range(0, self.n_slices, slices_per_batch):
            yield self.select(range(start, min(start + slices_per_batch, self.n_slices)))

    def with_notes(self, *notes: str) -> RawScan:
        """The same scan with more words for the user; a note already there is not repeated."""
        return replace(self, notes=self.notes + tuple(note for note in notes if note not in self.notes))

    def to(self, device: torch.device) -> RawScan:
        """The same scan with its k-space on another device; what was not sampled becomes zero on the way to a GPU."""
        if device.type == "cuda" and not self.kspace.is_cuda:
            kspace = lines_to_device(self.kspace.flatten(2, -2), self.mask.flatten(1), device).view(self.kspace.shape)
        else:
            kspace = self.kspace.to(device)
        return replace(self, kspace=kspace, counts=self.counts.to(device))
