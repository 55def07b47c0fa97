"""A scan of an object: protocol x anatomy -> the raw file that a scanner would have sent, and the truth beside it.

For every slice:

    images = tissues seen through the slice profile            rendered_slices.py   drawn once for all protocols
    echoes = tissues weighted echo by echo                     echo_images.py       steady state, B1, fat, B0
    lines  = coils' integrals over them, line by line          receive.py           each line with its own echo
    raw    = lines in the order of the scan, and noise         scan_order.py, scan_noise.py

Left out: flow, diffusion, magnetisation transfer and cross-talk between slices, relaxation during a readout, gradients that are
not linear, motion through the plane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.datasets.echo_images import EchoImages, echo_images
from knerve.datasets.mrd_stream import MrdStream, mrd_stream
from knerve.datasets.mrd_writer import Readouts
from knerve.datasets.receive import (
    fully_sampled_images,
    motion_ramp,
    read_out,
    receive_lines,
    received_maps,
)
from knerve.datasets.rendered_slices import RenderedSlices
from knerve.datasets.scan_noise import stream, torch_generator
from knerve.datasets.scan_plane import Anatomy, ScanPlane
from knerve.datasets.scan_setup import ScanSetup, scan_setup
from knerve.datasets.scan_truth import (
    SliceTruth,
    combined_images,
    tissue_labels,
    truth_file,
    truth_path,
)
from knerve.datasets.simulated_header import simulated_header
from knerve.datasets.simulated_readouts import imaging_heads, noise_heads
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.datasets.smooth_maps import SmoothMaps
from knerve.datasets.tissue_images import TissueImages
from knerve.gpu.devices import free_memory_bytes
from knerve.gpu.workers import side_by_side
from knerve.recon.errors import SettingsError
from knerve.sequences.protocol import Protocol
from knerve.sequences.timing import scan_time

Real = NDArray[np.float64]
Index = NDArray[np.int64]

N_NOISE_READOUTS = 32
NOISE_DWELL = 1.25  # of a noise sample over an imaging one: scanners measure noise with a bandwidth of its own
BYTES_PER_SAMPLE = 8
BYTES_PER_SLICE = 1 << 30  # that working on one may take
MOST_SLICES_AT_ONCE = 4  # the memory stays bounded on machines with many cores
DEFAULTS = SimulationSettings()


@dataclass(frozen=True)
class SimulatedScan:
    """What was written.

    Attributes:
        path: raw file.
        truth: file beside it.
        n_readouts: without noise readouts.
        scan_s: what the scanner would have taken.
        noise_density: for `SimulationSettings`, so that another protocol meets the same noise.
    """

    path: Path
    truth: Path
    n_readouts: int
    scan_s: float
    noise_density: float


def simulate(
    protocol: Protocol,
    anatomy: Anatomy,
    path: Path,
    *,
    settings: SimulationSettings = DEFAULTS,
    rendered: RenderedSlices | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> SimulatedScan:
    """Scan an object and write raw data and truth.

    Args:
        protocol: that is played.
        anatomy: the object.
        path: raw file to make, ISMRMRD; the truth goes to `<stem>-truth.h5` beside it.
        settings: everything else.
        rendered: slices of the same object drawn for an earlier protocol; it gains those of this one.
        on_progress: called with the number of slices done and of all.

    Raises:
        SettingsError: `rendered` holds slices of another object.
        ProtocolError: the tissue table lacks a tissue of the object.
        OutputError: a file cannot be written.
    """
    rendered = rendered or RenderedSlices(anatomy)
    if rendered.anatomy is not anatomy:
        raise SettingsError("The slices given were drawn of another object; keep one RenderedSlices for each object.")
    scan = scan_setup(protocol, anatomy, settings)
    header = simulated_header(scan.protocol, scan.plan, scan.grid, settings.n_coils, settings.seed)
    n_readouts, readout_bytes = len(scan.order), settings.n_coils * scan.grid.n_samples * BYTES_PER_SAMPLE
    about: dict[str, str | float] = {
        "protocol": protocol.name,
        "seed": settings.seed,
        "noise_density": scan.noise.density,
    }
    with (
        mrd_stream(path, header, N_NOISE_READOUTS + n_readouts, readout_bytes) as raw,
        truth_file(truth_path(path), anatomy, scan.planes, scan.grid, about) as truth,
    ):
        _write_noise(raw, scan)
        numbers = range(len(scan.planes))
        slices = side_by_side(lambda number: simulate_slice(scan, number, rendered), numbers, _at_once(len(numbers)))
        for number, (readouts, slice_truth) in enumerate(slices):
            _write_slice(raw, scan, number, readouts)
            truth.write(number, slice_truth)
            if on_progress:
                on_progress(number + 1, len(scan.planes))
    scan_s = scan_time(scan.protocol).total_s
    return SimulatedScan(path, truth_path(path), n_readouts, scan_s, scan.noise.density)


def simulate_slice(scan: ScanSetup, number: int, rendered: RenderedSlices) -> tuple[Tensor, SliceTruth]:
    """The readouts (readout, coil, kx) of one slice in the order of time, and its truth."""
    plane, grid = scan.planes[number], scan.grid
    images = rendered.slice(plane, scan.groups, scan.profile, scan.slice_shift_mm, scan.band, scan.bent)
    b1, field_mm = _imperfections(scan, plane, images)
    parts = echo_images(images, scan.amplitudes, scan.read_shift_mm, b1, field_mm)
    coils = sensitivities(scan, plane, images)
    maps = received_maps(parts, images, coils)
    every_line = receive_lines(parts, maps, images, grid.ky, scan.echo_of_line)

    rows = np.flatnonzero(scan.order.slices == number)
    readouts = _readouts(scan, plane, images, parts, coils, every_line, rows)
    if not scan.settings.noise_free:
        generator = torch_generator(stream(scan.settings.seed, "slice", number))
        readouts += scan.noise.draw(len(rows), grid.n_samples, grid.dwell_s, generator)

    every_coil = fully_sampled_images(every_line, images, grid)
    raw, snr = combined_images(every_coil, scan.noise.mixing, scan.noise.level(grid.dwell_s))
    labels = tissue_labels(images, scan.groups, grid)
    truth = SliceTruth(raw, snr, labels, rendered.truth(plane, scan.profile, grid))
    return readouts, truth


def sensitivities(scan: ScanSetup, plane: ScanPlane, images: TissueImages) -> SmoothMaps:
    """What the coils hear of the plane, and the phase of the object itself, about the slice's grid."""

    def maps_at(x_mm: Real, y_mm: Real) -> Tensor:
        heard = scan.array.at_points(torch.from_numpy(plane.points_mm(x_mm, y_mm)))
        across, along = x_mm[None, :] / scan.grid.fov_read_mm, y_mm[:, None] / scan.grid.fov_phase_mm
        phase = scan.settings.object_phase_rad * (0.4 + 1.6 * across - 4.8 * along**2)
        return heard * torch.from_numpy(np.exp(1j * phase)).to(torch.complex64)

    around_mm = float(np.abs(scan.read_shift_mm).max() + np.linalg.norm(scan.moved_mm, axis=-1).max())
    return SmoothMaps.computed(maps_at, images.x_mm, images.y_mm, around_mm)


def _imperfections(scan: ScanSetup, plane: ScanPlane, images: TissueImages) -> tuple[Real | None, Real | None]:
    """B1 (y, x) over its nominal value, and the displacement (y, x) by the main field; None where perfect."""
    settings, points = scan.settings, plane.points_mm(images.x_mm, images.y_mm)
    b1 = 1 + settings.b1_variation * scan.b1.at(points) if settings.b1_variation else None
    hz = settings.b0_variation_hz * scan.b0.at(points) if settings.b0_variation_hz else None
    return b1, None if hz is None else hz * scan.read_mm_per_hz


def _readouts(
    scan: ScanSetup,
    plane: ScanPlane,
    images: TissueImages,
    parts: Sequence[EchoImages],
    coils: SmoothMaps,
    every_line: Tensor,
    rows: Index,
) -> Tensor:
    """(readout, coil, kx) of one slice without noise."""
    order, grid = scan.order, scan.grid
    lines = order.lines[rows]
    if not scan.settings.motion_mm:
        different, place = np.unique(lines, return_inverse=True)
        return read_out(every_line[:, different], images, grid).movedim(1, 0)[place]
    readouts = torch.empty(len(rows), scan.settings.n_coils, grid.n_samples, dtype=torch.complex64)
    train = order.averages[rows] * scan.plan.lines.shape[1] + order.shots[rows]
    for shot in np.unique(train):
        mine = np.flatnonzero(train == shot)
        moved = scan.moved_mm.reshape(-1, 3)[shot]
        moved_mm = (float(moved @ np.asarray(plane.read)), float(moved @ np.asarray(plane.phase)))
        readouts[mine] = _moved_readouts(scan, images, parts, coils, rows[mine], moved_mm).movedim(1, 0)
    return readouts


def _moved_readouts(
    scan: ScanSetup,
    images: TissueImages,
    parts: Sequence[EchoImages],
    coils: SmoothMaps,
    rows: Index,
    moved_mm: tuple[float, float],
) -> Tensor:
    """(coil, line, kx) while the object lies `moved_mm` along read and phase from its place."""
    maps = received_maps(parts, images, coils, moved_mm)
    ky, echoes = scan.grid.ky[scan.order.lines[rows]], scan.order.echoes[rows]
    lines = receive_lines(parts, maps, images, ky, echoes)
    return read_out(lines, images, scan.grid) * motion_ramp(scan.grid, ky, moved_mm)


def _at_once(n_slices: int) -> int:
    """Slices to work on at the same time, each on one core; a single one takes all cores."""
    fitting = free_memory_bytes(torch.device("cpu")) // BYTES_PER_SLICE
    return max(1, min(torch.get_num_threads(), fitting, n_slices, MOST_SLICES_AT_ONCE))


def _write_noise(raw: MrdStream, scan: ScanSetup) -> None:
    dwell_s = NOISE_DWELL * scan.grid.dwell_s
    generator = torch_generator(stream(scan.settings.seed, "noise readouts"))
    samples = scan.noise.draw(N_NOISE_READOUTS, scan.grid.n_samples, dwell_s, generator).numpy()
    raw.write(np.arange(N_NOISE_READOUTS), Readouts(samples, noise_heads(samples, dwell_s)))


def _write_slice(raw: MrdStream, scan: ScanSetup, number: int, readouts: Tensor) -> None:
    rows = np.flatnonzero(scan.order.slices == number)
    samples, block = readouts.numpy(), scan.plan.pattern.calibration
    heads = imaging_heads(samples, rows, scan.order, scan.planes, block, scan.grid.dwell_s, N_NOISE_READOUTS)
    raw.write(N_NOISE_READOUTS + rows, Readouts(samples, heads))
