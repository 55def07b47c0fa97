"""What is in a raw scan: geometry, sampling, noise, sequence and every problem found, for people and for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from knerve.datasets.sampling_pattern import Sampling, describe_sampling
from knerve.datasets.scan_problems import find_problems, slice_steps_mm
from knerve.recon.errors import RawDataError
from knerve.recon.noise import estimate_whitening
from knerve.recon.scan import RawScan, Vector


@dataclass(frozen=True)
class Images:
    """How many images the scan makes, and over what they are spread."""

    total: int
    slices: int
    contrasts: int
    phases: int
    repetitions: int
    sets: int
    encoding: str  # "2-D" or "3-D"


@dataclass(frozen=True)
class Geometry:
    """Matrices, fields of view and slices; axes (x, y, z) = (readout, phase encode, partition), mm.

    `voxel_mm` is that of the reconstructed image. `slice_spacing_mm` between centres and `slice_gap_mm` between faces are
    None for a single slice and where the geometry is unknown.
    """

    encoded_matrix: tuple[int, int, int]
    encoded_fov_mm: Vector
    recon_matrix: tuple[int, int, int]
    recon_fov_mm: Vector
    voxel_mm: Vector
    readout_oversampling: float
    position_known: bool
    slice_spacing_mm: float | None
    slice_gap_mm: float | None


@dataclass(frozen=True)
class NoiseFacts:
    """Noise readouts and what can be done with them.

    `samples` per coil, 0 without noise readouts; `whitening` says where the noise level will come from, or "not possible";
    `largest_correlation` between two coils.
    """

    coils: int
    samples: int
    whitening: str
    largest_correlation: float | None


@dataclass(frozen=True)
class Sequence:
    """Protocol and scanner; empty where the raw data do not say."""

    protocol: str
    sequence_type: str
    tr_ms: tuple[float, ...]
    te_ms: tuple[float, ...]
    ti_ms: tuple[float, ...]
    flip_angle_deg: tuple[float, ...]
    echo_train_length: int | None
    echo_spacing_ms: tuple[float, ...]
    scanner: str
    field_strength_t: float | None
    body_part: str
    patient_position: str


@dataclass(frozen=True)
class ScanDescription:
    """Everything that `knerve info` tells; it names no patient."""

    images: Images
    geometry: Geometry
    sampling: Sampling
    noise: NoiseFacts
    sequence: Sequence
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain names, numbers and texts, nested, ready for JSON."""
        return asdict(self)


def describe(scan: RawScan) -> ScanDescription:
    """Tell what is in a scan; nothing is changed and nothing is printed."""
    sampling = describe_sampling(scan)
    noise, noise_problems = _noise_facts(scan)
    return ScanDescription(
        images=_images(scan),
        geometry=_geometry(scan),
        sampling=sampling,
        noise=noise,
        sequence=_sequence(scan),
        problems=(*find_problems(scan, sampling), *noise_problems),
        notes=scan.notes,
    )


def _images(scan: RawScan) -> Images:
    return Images(
        total=scan.n_slices,
        slices=len({frame.slice for frame in scan.frames}),
        contrasts=len({frame.contrast for frame in scan.frames}),
        phases=len({frame.phase for frame in scan.frames}),
        repetitions=len({frame.repetition for frame in scan.frames}),
        sets=len({frame.set for frame in scan.frames}),
        encoding="3-D" if scan.is_3d else "2-D",
    )


def _geometry(scan: RawScan) -> Geometry:
    grid = scan.grid
    x, y, z = (fov / n for fov, n in zip(grid.recon_fov_mm, grid.recon_matrix, strict=True))
    steps = slice_steps_mm(scan.frames)
    spacing = sum(steps) / len(steps) if steps else None
    return Geometry(
        encoded_matrix=grid.encoded_matrix,
        encoded_fov_mm=grid.encoded_fov_mm,
        recon_matrix=grid.recon_matrix,
        recon_fov_mm=grid.recon_fov_mm,
        voxel_mm=(x, y, z),
        readout_oversampling=grid.encoded_fov_mm[0] / grid.recon_fov_mm[0],
        position_known=all(frame.geometry_known for frame in scan.frames),
        slice_spacing_mm=spacing,
        slice_gap_mm=None if spacing is None else spacing - grid.recon_fov_mm[2],
    )


def _noise_facts(scan: RawScan) -> tuple[NoiseFacts, tuple[str, ...]]:
    samples = 0 if scan.noise is None else scan.noise.samples.shape[1]
    try:
        whitening, notes = estimate_whitening(scan)
    except RawDataError as error:
        return NoiseFacts(scan.n_coils, samples, "not possible", None), (str(error),)
    report = whitening.report
    problems = notes if scan.noise is not None else ()
    return NoiseFacts(scan.n_coils, samples, f"from {report.source}", report.largest_correlation), problems


def _sequence(scan: RawScan) -> Sequence:
    header = scan.header
    return Sequence(
        protocol=header.protocol_name,
        sequence_type=header.sequence_type,
        tr_ms=header.tr_ms,
        te_ms=header.te_ms,
        ti_ms=header.ti_ms,
        flip_angle_deg=header.flip_angle_deg,
        echo_train_length=header.echo_train_length,
        echo_spacing_ms=header.echo_spacing_ms,
        scanner=" ".join(part for part in (header.vendor, header.model) if part),
        field_strength_t=header.field_strength_t,
        body_part=header.body_part,
        patient_position=header.patient_position,
    )
