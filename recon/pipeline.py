"""Raw k-space becomes an image: the whole way on one page, every step one function of this room.

scan.py  ->  noise.py  ->  calibration.py  ->  extent.py  ->  readout.py  ->  espirit.py  ->  coils.py  ->  encoding.py
         ->  methods.py  ->  noise_map.py  ->  finish.py  ->  images.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from knerve.gpu.devices import choose_device, cpu_threads, free_memory_bytes
from knerve.recon.calibration import CalibrationLines, calibration_lines, estimate_sensitivities
from knerve.recon.coils import compress_coils
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.errors import CalibrationError, SettingsError
from knerve.recon.extent import crop_to_acquired
from knerve.recon.finish import finish
from knerve.recon.images import ImageSeries
from knerve.recon.methods import METHODS, root_sum_of_squares, wiener_weight
from knerve.recon.noise import Whitening, estimate_whitening, mix_coils, prewhiten
from knerve.recon.noise_map import analytic_noise_map, replica_noise_map, zero_filled_noise_map
from knerve.recon.partial_fourier import has_phase_lines, is_partial, phase_constrained
from knerve.recon.readout import to_hybrid_space
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings
from knerve.recon.stages import Stopwatch

BATCH_BYTES = {"cpu": 64 << 20, "cuda": 2 << 30}  # of k-space reconstructed at once


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
    """
    settings = Settings() if settings is None else settings
    try:
        device = choose_device(settings.device)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    watch = Stopwatch()
    with cpu_threads(settings.threads):
        with watch.stage("noise"):
            whitening, notes = estimate_whitening(scan)
        calibration = _calibration(scan, settings)
        notes += calibration.notes if calibration is not None else (NO_CALIBRATION,)
        acquired = crop_to_acquired(scan)
        images, noise_maps = [], []
        done = 0
        for batch in acquired.batches(slices_per_batch(scan, settings, device)):
            block = None if calibration is None else calibration.kspace[done : done + batch.n_slices].to(device)
            image, noise_map, more = reconstruct_slices(batch.to(device), block, whitening, settings, watch)
            images.append(image.cpu())
            noise_maps.append(noise_map)
            notes += tuple(note for note in more if note not in notes)
            done += batch.n_slices
            if on_slices_done is not None:
                on_slices_done(done, scan.n_slices)
    return ImageSeries(
        image=torch.cat(images),
        noise_level=_joined(noise_maps),
        frames=scan.frames,
        grid=scan.grid,
        header=scan.header,
        method=settings.method,
        settings=settings.as_dict(),
        noise=whitening.report,
        acceleration=scan.acceleration,
        seconds=dict(watch.seconds),
        notes=scan.notes + tuple(note for note in notes if note not in scan.notes),
    )


def reconstruct_slices(
    scan: RawScan, calibration: Tensor | None, whitening: Whitening, settings: Settings, watch: Stopwatch
) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Images (slice, [z,] y, x), noise map and notes of one batch of slices; without calibration, root sum of squares."""
    with watch.stage("whiten"):
        scan = prewhiten(scan, whitening)
    with watch.stage("readout"):
        block = None if calibration is None else mix_coils(whitening.matrix, calibration)
        hybrid = to_hybrid_space(scan, block)
    if block is None:
        image = root_sum_of_squares(hybrid)
        return *finish(image, None, torch.ones_like(image.real), scan), ()
    with watch.stage("calibrate"):
        sensitivities, notes = estimate_sensitivities(hybrid, settings)
    with watch.stage("compress"):
        hybrid, sensitivities = compress_coils(hybrid, sensitivities, settings)
    with watch.stage("solve"):
        encoding, phase = CartesianEncoding(sensitivities.maps, hybrid.counts), None
        if settings.phase_constraint and settings.method != "zero-filled" and is_partial(hybrid):
            if has_phase_lines(hybrid):
                encoding, phase = phase_constrained(encoding, hybrid)
            notes += (PARTIAL_FOURIER if phase is not None else PARTIAL_FOURIER_WITHOUT_PHASE,)
        right_side = encoding.adjoint_of_data(hybrid)
        image = METHODS[settings.method](encoding, right_side, settings)
    with watch.stage("noise map"):
        noise_map, more = _noise_map(encoding, right_side, settings)
    with watch.stage("finish"):
        image = image if phase is None else image * phase
        return *finish(image, noise_map, sensitivities.strength, scan), notes + more


PARTIAL_FOURIER = "partial Fourier: the image phase was taken from the centre of k-space and assumed to be smooth."
PARTIAL_FOURIER_WITHOUT_PHASE = (
    "partial Fourier: too few central lines show the image phase; the missing side was not constrained."
)
NO_CALIBRATION = "no calibration lines: coils were combined by root sum of squares, and there is no noise map."


def slices_per_batch(scan: RawScan, settings: Settings, device: torch.device) -> int:
    """How many slices fit: at most `BATCH_BYTES` of k-space, and an eighth of the free memory."""
    if settings.slices_per_batch is not None:
        return settings.slices_per_batch
    slice_bytes = max(1, scan.kspace[0].numel() * 8)
    return max(1, min(BATCH_BYTES[device.type], free_memory_bytes(device) // 8) // slice_bytes)


def _calibration(scan: RawScan, settings: Settings) -> CalibrationLines | None:
    """The calibration block; None where the method can do without."""
    try:
        return calibration_lines(scan, settings)
    except CalibrationError:
        if settings.method == "zero-filled":
            return None
        raise


def _noise_map(
    encoding: CartesianEncoding, right_side: Tensor, settings: Settings
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The noise map that the settings ask for, shaped as the image, and notes."""
    if settings.snr_map == "none":
        return None, ()
    if settings.snr_map == "analytic" and settings.method == "zero-filled":
        return zero_filled_noise_map(encoding), ()
    if settings.snr_map == "analytic" and encoding.counts.ndim == 2:
        return analytic_noise_map(encoding, wiener_weight(encoding, right_side)), ()
    if settings.snr_map == "analytic":
        return None, ("3-D scans have no analytic noise map: ask for snr_map replica.",)

    def solve(noise: Tensor) -> Tensor:
        noisy = right_side + encoding.adjoint(noise.to(right_side.device) * (encoding.counts > 0)[:, None, None])
        return METHODS[settings.method](encoding, noisy, settings)

    return replica_noise_map(solve, encoding.kspace_shape, settings.replicas, settings.seed), ()


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    """Noise maps of all batches as one, or None if there are none."""
    found = [part.cpu() for part in parts if part is not None]
    return torch.cat(found) if found else None
