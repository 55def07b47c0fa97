"""Raw k-space becomes an image: the whole way on one page, every step one function of this room.

scan.py  ->  noise.py  ->  calibration.py  ->  extent.py  ->  readout.py  ->  transform_length.py  ->  espirit.py
         ->  solution.py (coils.py  ->  encoding.py  ->  methods.py  ->  noise_map.py  ->  finish.py)  ->  images.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from knerve.gpu.devices import choose_device, cpu_threads, free_memory_bytes
from knerve.gpu.host_copies import to_host
from knerve.gpu.workers import side_by_side
from knerve.recon.calibration import CalibrationLines, calibration_lines, estimate_sensitivities
from knerve.recon.errors import CalibrationError, OutOfMemoryError, RawDataError, SettingsError
from knerve.recon.extent import crop_to_acquired
from knerve.recon.finish import finish_image
from knerve.recon.images import ImageSeries
from knerve.recon.learned.notes import one_of_a_kind
from knerve.recon.methods import root_sum_of_squares
from knerve.recon.noise import Whitening, estimate_whitening, mix_coils
from knerve.recon.partial_fourier import is_partial, phase_box
from knerve.recon.readout import to_hybrid_space
from knerve.recon.scan import RawScan
from knerve.recon.settings import Method, Settings
from knerve.recon.smaller_batches import FEWER, in_halves, is_out_of_memory
from knerve.recon.solution import solve
from knerve.recon.stages import Stopwatch
from knerve.recon.transform_length import padded_for

FINEST_ZOOM = 16  # image pixels per acquired pixel along an axis
WORKING_COPIES = 16  # of a batch's k-space that reconstructing it may take
BATCH_BYTES = {"cpu": 64 << 20, "cuda": 8 << 30}  # of k-space reconstructed at once
MEMORY_SHARE = {"cpu": 8, "cuda": WORKING_COPIES}  # one over the part of free memory that a batch's k-space may take


def reconstruct(
    scan: RawScan, settings: Settings | None = None, on_slices_done: Callable[[int, int], None] | None = None
) -> ImageSeries:
    """Reconstruct every image of a raw scan.

    Args:
        scan: what a reader of `knerve.datasets` delivers.
        settings: every choice; the defaults need no tuning.
        on_slices_done: called with (done, total) after each batch of slices.

    Raises:
        CalibrationError: the method needs coil sensitivities and the data have no calibration lines.
        RawDataError: the noise cannot be estimated.
        SettingsError: the settings do not fit the scan or this machine.
        OutOfMemoryError: the scan does not fit into the memory.
    """
    settings = Settings() if settings is None else settings
    check_recon_grid(scan)
    try:
        device = choose_device(settings.device)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    watch = Stopwatch()
    with cpu_threads(settings.threads), told_when_memory_runs_out():
        with watch.stage("noise"):
            whitening, notes = estimate_whitening(scan)
        calibration = _calibration(scan, settings)
        notes += calibration.notes if calibration is not None else (NO_CALIBRATION,)
        acquired = crop_to_acquired(scan)
        phase_lines, more = central_phase_lines(acquired, settings)
        notes += more
        size = slices_per_batch(scan, settings, device)
        watch.n_workers = _slices_side_by_side(scan, size, device)

        def together(chosen: range) -> BatchImages:
            block = None if calibration is None else calibration.kspace[chosen.start : chosen.stop].to(device)
            batch = acquired.select(chosen).to(device)
            found = reconstruct_slices(batch, block, whitening, phase_lines, settings, watch)
            noise = None if found.noise_level is None else to_host(found.noise_level)
            return replace(found, image=to_host(found.image), noise_level=noise)

        def one_batch(first: int) -> list[BatchImages]:
            return in_halves(together, range(first, min(first + size, acquired.n_slices)))

        batches: list[BatchImages] = []
        done = 0
        for found in side_by_side(one_batch, range(0, scan.n_slices, size), watch.n_workers):
            if len(found) > 1:
                many, few = sum(len(part.image) for part in found), max(len(part.image) for part in found)
                notes += (FEWER.format(many=many, few=few),)
            for batch in found:
                batches.append(batch)
                notes += tuple(note for note in batch.notes if note not in notes)
                done += batch.image.shape[0]
                if on_slices_done is not None:
                    on_slices_done(done, scan.n_slices)
    return ImageSeries(
        image=torch.cat([batch.image for batch in batches]),
        noise_level=_joined([batch.noise_level for batch in batches]),
        frames=scan.frames,
        grid=scan.grid,
        header=scan.header,
        method=_method_of(batches),
        settings=settings.as_dict(),
        noise=whitening.report,
        acceleration=scan.acceleration,
        seconds=dict(watch.seconds),
        notes=scan.notes + one_of_a_kind(note for note in notes if note not in scan.notes),
    )


@dataclass(frozen=True)
class BatchImages:
    """What a batch of slices becomes.

    Attributes:
        image: (slice, [z,] y, x).
        noise_level: same shape, or None.
        method: that made the images.
        notes: for the user.
    """

    image: Tensor
    noise_level: Tensor | None
    method: Method
    notes: tuple[str, ...]


def _method_of(batches: Sequence[BatchImages]) -> Method:
    """That of all slices; "dl" where it made some, and compressed sensing the others."""
    methods = {batch.method for batch in batches}
    return "dl" if "dl" in methods else batches[0].method


def reconstruct_slices(
    scan: RawScan,
    calibration: Tensor | None,
    whitening: Whitening,
    phase_lines: tuple[slice, ...] | None,
    settings: Settings,
    watch: Stopwatch,
) -> BatchImages:
    """Reconstruct one batch of slices.

    Everything that could tie a slice to its neighbours in the batch was decided for the whole scan before.

    Args:
        scan: the slices, raw.
        calibration: their block of `calibration_lines`, or None for root sum of squares.
        whitening: of the whole scan.
        phase_lines: central lines that show the phase of partial Fourier data, or None for complex images.
        settings: every choice.
        watch: adds up the seconds of each stage.
    """
    with watch.stage("readout"):
        block = None if calibration is None else mix_coils(whitening.matrix, calibration)
        hybrid = to_hybrid_space(scan, block, whitening.matrix)
    if block is None:
        image = root_sum_of_squares(hybrid)
        return BatchImages(finish_image(image, torch.ones_like(image.real), scan), None, settings.method, ())
    with watch.stage("calibrate"):
        outline = padded_for(settings.method, replace(hybrid, kspace=hybrid.kspace[:, :, :1]))  # only its shape is used
        sensitivities, notes = estimate_sensitivities(outline, settings)
    solution = solve(hybrid, sensitivities, scan, phase_lines, settings, watch)
    noise_level, more = solution.noise_level(watch)
    return BatchImages(solution.finished_image(watch), noise_level, solution.method, notes + more)


PARTIAL_FOURIER = "partial Fourier: the image phase was taken from the centre of k-space and assumed to be smooth."
PARTIAL_FOURIER_WITHOUT_PHASE = (
    "partial Fourier: too few central lines show the image phase; the missing side was not constrained."
)
OUT_OF_MEMORY = (
    "The reconstruction needs more memory than there is. Free some, or reconstruct fewer slices at once (slices_per_batch=1), "
    "with fewer virtual coils, or on another machine."
)
NO_CALIBRATION = "no calibration lines: coils were combined by root sum of squares, and there is no noise map."


def check_recon_grid(scan: RawScan) -> None:
    """Refuse an image grid that no measurement can fill, before memory is taken for it."""
    grid = scan.grid
    for axis, name in enumerate("xyz"):
        acquired = grid.encoded_matrix[axis] / grid.encoded_fov_mm[axis]
        asked = grid.recon_matrix[axis] / grid.recon_fov_mm[axis] if grid.recon_matrix[axis] > 1 else 0.0
        if asked > FINEST_ZOOM * acquired:
            raise RawDataError(
                f"The header asks for {grid.recon_matrix[axis]} pixels along {name}, {asked / acquired:.0f} times finer than the "
                f"acquired resolution; at most {FINEST_ZOOM} times make sense. Correct reconSpace in the raw file."
            )


@contextmanager
def told_when_memory_runs_out() -> Iterator[None]:
    """Turn every way in which memory can run out into one error with words for the user."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(OUT_OF_MEMORY) from error


def central_phase_lines(scan: RawScan, settings: Settings) -> tuple[tuple[slice, ...] | None, tuple[str, ...]]:
    """Where the phase of a partial Fourier scan comes from, and notes."""
    mask = scan.mask.cpu()
    if not settings.phase_constraint or settings.method == "zero-filled" or not is_partial(mask):
        return None, ()
    box = phase_box(mask)
    return box, (PARTIAL_FOURIER_WITHOUT_PHASE if box is None else PARTIAL_FOURIER,)


def slices_per_batch(scan: RawScan, settings: Settings, device: torch.device) -> int:
    """How many slices fit: at most `BATCH_BYTES` of k-space, and one over `MEMORY_SHARE` of the free memory."""
    if settings.slices_per_batch is not None:
        return settings.slices_per_batch
    slice_bytes = max(1, scan.kspace[0].numel() * 8)
    fitting = free_memory_bytes(device) // MEMORY_SHARE[device.type]
    return max(1, min(BATCH_BYTES[device.type], fitting) // slice_bytes)


def _slices_side_by_side(scan: RawScan, batch_size: int, device: torch.device) -> int:
    """Batches worked on at once: on a CPU one per core if there are enough of them and of memory, else one on all cores."""
    n_cores, n_batches = torch.get_num_threads(), -(-scan.n_slices // batch_size)
    batch_bytes = max(1, scan.kspace[0].numel() * 8 * batch_size)
    fitting = free_memory_bytes(device) // (WORKING_COPIES * batch_bytes)
    return n_cores if device.type == "cpu" and n_batches >= 2 * n_cores and fitting >= n_cores else 1


def _calibration(scan: RawScan, settings: Settings) -> CalibrationLines | None:
    """The calibration block; None where the method can do without."""
    try:
        return calibration_lines(scan, settings)
    except CalibrationError:
        if settings.method == "zero-filled":
            return None
        raise


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    """Noise maps of all batches as one, or None if there are none."""
    found = [part.cpu() for part in parts if part is not None]
    return torch.cat(found) if found else None
