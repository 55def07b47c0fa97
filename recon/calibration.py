"""Calibration: which part of k-space tells the coil sensitivities, and the sensitivities themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.errors import CalibrationError
from knerve.recon.espirit import Sensitivities, espirit
from knerve.recon.hybrid import HybridScan
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings

MIN_LINES = 6  # narrower centres say too little about the coils
ENOUGH_LINES = 48  # more central lines than this add nothing to smooth sensitivities
READOUT_SAMPLES = 64  # per field of view: the readout is fully sampled, so the block may be wide there


@dataclass(frozen=True)
class CalibrationLines:
    """Fully sampled central k-space of every slice, `kspace (slice, coil, [kz,] ky, kx)`, and notes for the user."""

    kspace: Tensor
    notes: tuple[str, ...] = ()


def calibration_lines(scan: RawScan, settings: Settings) -> CalibrationLines:
    """Cut the calibration block out of a scan: separate lines, else the sampled centre, else the repetitions' joint centre.

    Raises:
        CalibrationError: none of the three has `MIN_LINES` fully sampled central lines.
    """
    if scan.calibration is not None:
        separate = scan.calibration
        box = central_box(separate.counts.cpu() > 0)
        if not _wide_enough(box, scan):
            raise _too_few_lines(box, "separate calibration lines")
        order = torch.tensor(separate.of_frame, device=separate.kspace.device)
        # index the small block, not the whole array
        return CalibrationLines(
            _cut(separate.kspace, box, settings, separate.fov_mm[0] / scan.grid.recon_fov_mm[0])[order]
        )
    oversampling = scan.grid.encoded_fov_mm[0] / scan.grid.recon_fov_mm[0]
    box = central_box(scan.mask.cpu())
    if _wide_enough(box, scan):
        return CalibrationLines(_cut(scan.kspace, box, settings, oversampling))
    groups = _repetitions_of_frames(scan)
    if groups is not None:
        sampled = torch.stack([(scan.counts[group] > 0).any(0) for group in groups]).cpu()
        joint_box = central_box(sampled)
        if _wide_enough(joint_box, scan):
            note = (
                f"no {MIN_LINES} fully sampled central lines in each image: the coils were calibrated on the mean over "
                "repetitions, assuming that nothing moved between them."
            )
            return CalibrationLines(
                _mean_over_groups(scan, groups, _trim(scan.kspace.shape[2:], joint_box, settings, oversampling)),
                (note,),
            )
    raise _too_few_lines(box, "embedded calibration lines")


def estimate_sensitivities(scan: HybridScan, settings: Settings) -> tuple[Sensitivities, tuple[str, ...]]:
    """ESPIRiT sensitivities of every slice; a second set where the data ask for it and the settings leave it open.

    Returns:
        The sensitivities and notes for the user.

    Raises:
        CalibrationError: the scan came without its calibration block.
    """
    if scan.calibration is None:
        raise CalibrationError("sensitivities were asked for, but the scan has no calibration block.")
    shape = (*scan.kspace.shape[3:], scan.kspace.shape[1])
    x, y, z = scan.calibration_fov
    fov = (z, y, x) if scan.is_3d else (y, x)
    found = _espirit_for(scan)(scan.calibration, shape, fov, settings.kernel_width, settings.map_sets)
    if settings.map_sets is None and found.maps.shape[2] == 2:
        return found, (
            "two sets of coil sensitivities: part of the object folds over itself (field of view smaller than it).",
        )
    return found, ()


def _espirit_for(
    scan: HybridScan,
) -> Callable[[Tensor, Sequence[int], Sequence[float], int, int | None], Sensitivities]:
    """The form of ESPIRiT that suits where the data lie; that of a GPU is loaded only there."""
    if not scan.kspace.is_cuda or scan.is_3d:
        return espirit
    from knerve.recon.cuda_espirit import espirit_at_once

    return espirit_at_once


def central_box(mask: Tensor) -> tuple[slice, ...]:
    """The fully sampled box around the centre of k-space that all slices of `mask (slice, [kz,] ky)` share.

    Grown one line at a time on whichever side stays fully sampled, widest direction last.
    """
    sampled = mask.all(dim=0)
    centre = [n // 2 for n in sampled.shape]
    if not bool(sampled[tuple(centre)]):
        return tuple(slice(c, c) for c in centre)
    low, high = list(centre), [c + 1 for c in centre]
    grew = True
    while grew:
        grew = False
        for axis in sorted(range(len(centre)), key=lambda a: high[a] - low[a]):
            for step in (-1, 1):
                new_low = low[axis] - (step < 0)
                new_high = high[axis] + (step > 0)
                if new_low < 0 or new_high > sampled.shape[axis]:
                    continue
                box = [slice(a, b) for a, b in zip(low, high, strict=True)]
                box[axis] = slice(new_low, new_high)
                if bool(sampled[tuple(box)].all()):
                    low[axis], high[axis], grew = new_low, new_high, True
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def _wide_enough(box: tuple[slice, ...], scan: RawScan) -> bool:
    lines = scan.counts.shape[1:]
    return all(s.stop - s.start >= min(MIN_LINES, n) for s, n in zip(box, lines, strict=True))


def _too_few_lines(box: tuple[slice, ...], what: str) -> CalibrationError:
    widths = " x ".join(str(s.stop - s.start) for s in box)
    return CalibrationError(
        f"{what}: {widths} fully sampled central lines, at least {MIN_LINES} are needed to find the coil sensitivities. "
        "Acquire a calibration region (24 lines or more), or use the method zero-filled, which needs none."
    )


def _cut(kspace: Tensor, box: tuple[slice, ...], settings: Settings, oversampling: float) -> Tensor:
    """The block, trimmed to useful sizes around the centre: (entry, coil, [kz,] ky, kx)."""
    return kspace[(slice(None), slice(None), *_trim(kspace.shape[2:], box, settings, oversampling))].contiguous()


def _trim(shape: tuple[int, ...], box: tuple[slice, ...], settings: Settings, oversampling: float) -> tuple[slice, ...]:
    """The box limited to useful widths, with the readout's own range behind it: slices of ([kz,] ky, kx)."""
    limit = settings.calibration_width or ENOUGH_LINES
    sides = []
    for n, side in zip(shape[:-1], box, strict=True):
        sides.append(slice(max(side.start, n // 2 - limit // 2), min(side.stop, n // 2 + (limit + 1) // 2)))
    n_kx = shape[-1]
    width = min(n_kx, round(READOUT_SAMPLES * max(1.0, oversampling)))
    start = n_kx // 2 - width // 2
    return (*sides, slice(start, start + width))


def _repetitions_of_frames(scan: RawScan) -> list[list[int]] | None:
    """For each frame the frames of the same slice, contrast, set and phase; None where no frame is repeated."""
    keys = [(f.slice, f.contrast, f.set, f.phase) for f in scan.frames]
    if len(set(keys)) == len(keys):
        return None
    members: dict[tuple[int, int, int, int], list[int]] = {}
    for i, key in enumerate(keys):
        members.setdefault(key, []).append(i)
    return [members[key] for key in keys]


def _mean_over_groups(scan: RawScan, groups: list[list[int]], box: tuple[slice, ...]) -> Tensor:
    """Count-weighted mean of the small block `box` over each group of frames, (frame, coil, [kz,] ky, kx)."""
    blocks = scan.kspace[(slice(None), slice(None), *box)]
    counts = scan.counts[(slice(None), *box[:-1])].to(torch.float32)
    weighted = blocks * counts[:, None, ..., None]
    return torch.stack([weighted[g].sum(0) / counts[g].sum(0).clamp(min=1)[None, ..., None] for g in groups])
