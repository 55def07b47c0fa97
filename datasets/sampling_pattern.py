"""Which lines of k-space were sampled, in words and numbers: kind of pattern, acceleration, gaps, partial Fourier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.calibration import central_box
from knerve.recon.partial_fourier import partial_fourier_fraction
from knerve.recon.scan import RawScan

DENSER_CENTRE = 1.3  # sampled share of the inner half over that of the outer half that makes a density variable
FEW_NEIGHBOURS = 0.5  # neighbouring samples over those of a random pattern; below, samples keep their distance
ROUND_SHARE = 0.9  # of the lines inside the ellipse; above, the corners were left out on purpose


@dataclass(frozen=True)
class Sampling:
    """The sampling of a scan, phase-encode directions in the order (ky, kz).

    Attributes:
        pattern: "full", "regular, R = 3", "variable density", ...
        same_for_all_images: whether every image samples the same lines.
        acceleration_asked: along ky and kz, as the header claims.
        acceleration_net: grid lines over lines sampled, of the least sampled image.
        acceleration_image: lines that the reconstructed field of view needs over lines sampled; phase oversampling is left out.
        lines_sampled: fewest and most lines of an image.
        largest_gap: lines between neighbours along ky at most; None for 3-D scans.
        partial_fourier: acquired over symmetric extent along ky and kz.
        echo_fraction: acquired over symmetric extent of the readout; below 1 the echo is asymmetric.
        phase_oversampling: encoded over reconstructed field of view along ky and kz.
        averages: fewest and most readouts averaged into a sampled line.
        calibration_lines: fully sampled lines about the centre along ky and kz, of the image that has fewest.
        calibration_mode: "embedded" in the images, "separate", or "none".
    """

    pattern: str
    same_for_all_images: bool
    acceleration_asked: tuple[float, float]
    acceleration_net: float
    acceleration_image: float
    lines_sampled: tuple[int, int]
    largest_gap: int | None
    partial_fourier: tuple[float, float]
    echo_fraction: float
    phase_oversampling: tuple[float, float]
    averages: tuple[int, int]
    calibration_lines: tuple[int, int]
    calibration_mode: str


def describe_sampling(scan: RawScan) -> Sampling:
    """Find all of it from the counts of the scan."""
    mask = scan.mask.cpu()
    masks = torch.unique(mask, dim=0)
    grid = scan.grid
    oversampling = (grid.encoded_fov_mm[1] / grid.recon_fov_mm[1], grid.encoded_fov_mm[2] / grid.recon_fov_mm[2])
    if not scan.is_3d:
        oversampling = (oversampling[0], 1.0)
    per_image = mask.flatten(1).sum(1)
    averages = scan.counts[scan.mask]
    readout = torch.zeros(scan.kspace.shape[-1], dtype=torch.bool)
    readout[slice(*scan.sampled_kx)] = True
    calibration = _calibration_lines(scan, masks)
    return Sampling(
        pattern=pattern_of(masks[0]),
        same_for_all_images=len(masks) == 1,
        acceleration_asked=scan.header.acceleration_asked,
        acceleration_net=scan.acceleration,
        acceleration_image=scan.acceleration / (max(1.0, oversampling[0]) * max(1.0, oversampling[1])),
        lines_sampled=(int(per_image.min()), int(per_image.max())),
        largest_gap=None if scan.is_3d else max(_largest_gap(m) for m in masks),
        partial_fourier=(
            min(partial_fourier_fraction(m.any(0) if scan.is_3d else m) for m in masks),
            min(partial_fourier_fraction(m.any(1)) for m in masks) if scan.is_3d else 1.0,
        ),
        echo_fraction=partial_fourier_fraction(readout),
        phase_oversampling=oversampling,
        averages=(int(averages.min()), int(averages.max())) if len(averages) else (0, 0),
        calibration_lines=calibration,
        calibration_mode="separate" if scan.calibration is not None else "embedded" if min(calibration) > 1 else "none",
    )


def pattern_of(mask: Tensor) -> str:
    """Name the pattern of one image, `mask (ky)` or `(kz, ky)` bool, within the extent that it covers."""
    return _pattern_1d(mask) if mask.ndim == 1 else _pattern_2d(mask)


def _pattern_1d(mask: Tensor) -> str:
    places = torch.nonzero(mask)[:, 0]
    if len(places) == 0:
        return "empty"
    if bool(mask[places[0] : places[-1] + 1].all()):
        return "full"
    step = _regular_step(mask)
    if step is not None:
        return f"regular, R = {step}"
    return "variable density" if _denser_centre(mask) else "irregular"


def _pattern_2d(mask: Tensor) -> str:
    rows, columns = torch.nonzero(mask.any(1))[:, 0], torch.nonzero(mask.any(0))[:, 0]
    if len(rows) == 0:
        return "empty"
    covered = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if bool(covered.all()):
        return "full"
    if _is_round(covered):
        return "full, elliptical"
    outer = mask.clone()
    outer[central_box(mask[None])] = False
    steps = {_row_step(row) for row in outer if int(row.sum()) > 2}
    row_step = _only_step(torch.nonzero(outer.any(1))[:, 0])
    if len(steps) == 1 and None not in steps and row_step is not None:
        offsets = {int(torch.nonzero(row)[0, 0]) % int(next(iter(steps)) or 1) for row in outer if int(row.sum()) > 2}
        return f"regular, R = {steps.pop()} x {row_step}" + (", shifted from row to row" if len(offsets) > 1 else "")
    spread = "Poisson-disc-like" if _keeps_distance(outer) else "random"
    return f"{spread}, variable density" if _denser_centre(mask) else spread


def _regular_step(mask: Tensor) -> int | None:
    """The one distance between lines outside the calibration centre; None where distances differ."""
    outer = mask.clone()
    low, high = central_box(mask[None])[0].start, central_box(mask[None])[0].stop
    outer[low:high] = False
    below, above = torch.nonzero(outer[:low])[:, 0], torch.nonzero(outer[high:])[:, 0] + high
    steps = torch.cat([below.diff(), above.diff()])
    if len(steps) < 2 or int(steps.min()) != int(steps.max()):
        return None
    step = int(steps[0])
    return step if step > 1 and len({int(p) % step for p in (*below, *above)}) == 1 else None


def _row_step(row: Tensor) -> int | None:
    return _only_step(torch.nonzero(row)[:, 0])


def _only_step(places: Tensor) -> int | None:
    """The smallest distance of `places` if all others are its multiples (the calibration box may be cut out)."""
    if len(places) < 2:
        return None
    steps = places.diff()
    step = int(steps.min())
    return step if bool((steps % step == 0).all()) else None


def _denser_centre(mask: Tensor) -> bool:
    """Whether the inner half is sampled more densely than the outer one, the calibration centre left aside."""
    considered = torch.ones_like(mask)
    considered[central_box(mask[None])] = False
    axes = [(torch.arange(n) - n // 2).abs() / (n / 2) for n in mask.shape]
    reach = torch.stack(torch.meshgrid(*axes, indexing="ij")).amax(0)
    inner, outer = mask[considered & (reach < 0.5)], mask[considered & (reach >= 0.5)]
    if inner.numel() == 0 or outer.numel() == 0:
        return True
    return float(inner.float().mean()) > DENSER_CENTRE * float(outer.float().mean())


def _is_round(mask: Tensor) -> bool:
    """Whether the corners alone are missing."""
    z, y = (torch.linspace(-1, 1, n) for n in mask.shape)
    inside = z[:, None].square() + y[None, :].square() < 0.9
    return float(mask[inside].float().mean()) > ROUND_SHARE and float(mask[~inside].float().mean()) < ROUND_SHARE


def _keeps_distance(outer: Tensor) -> bool:
    """Whether neighbours along ky and kz are rarer than chance, with the chance taken from each place's surroundings."""
    sampled = outer.float()[None, None]
    density = torch.nn.functional.avg_pool2d(sampled, 9, 1, 4, count_include_pad=False)[0, 0]
    sampled = sampled[0, 0]
    pairs = float((sampled[1:] * sampled[:-1]).sum() + (sampled[:, 1:] * sampled[:, :-1]).sum())
    by_chance = float((sampled[1:] * density[:-1]).sum() + (sampled[:, 1:] * density[:, :-1]).sum())
    return pairs < FEW_NEIGHBOURS * by_chance


def _largest_gap(mask: Tensor) -> int:
    places = torch.nonzero(mask)[:, 0]
    return int(places.diff().max()) if len(places) > 1 else mask.shape[0]


def _calibration_lines(scan: RawScan, masks: Tensor) -> tuple[int, int]:
    """Width of the central box along ky and kz, the smallest of all images; of the separate lines where there are some."""
    if scan.calibration is not None:
        masks = torch.unique(scan.calibration.counts.cpu() > 0, dim=0)
    boxes = [central_box(mask[None]) for mask in masks]
    widths = [tuple(side.stop - side.start for side in box)[::-1] for box in boxes]
    along_ky = min(width[0] for width in widths)
    return along_ky, min(width[1] for width in widths) if scan.is_3d else along_ky
