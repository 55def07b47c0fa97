"""What a careful person would notice in raw data before trusting an image made of them, each in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from knerve.datasets.sampling_pattern import Sampling
from knerve.recon.scan import Frame, RawScan

FEW_CALIBRATION_LINES = 12
WEAK_COIL = 0.01  # of the median coil's amplitude
SPIKE_OVER_MEDIAN = 20.0  # in the outer corners of k-space
SPIKE_OVER_NEIGHBOURS = 5.0  # along the readout: oversampled signal is smooth, a spark lasts one sample
MEDIAN_STRIDE = 7  # every so many samples give the median well enough
CLIPPED_SAMPLES = 4  # that share the exact largest value
SPACING_TOLERANCE_MM = 0.05
MISSING_SHARE = 0.9  # of the best sampled image's lines; fewer look like an interrupted scan
FOV_TOLERANCE = 1.01


def find_problems(scan: RawScan, sampling: Sampling) -> tuple[str, ...]:
    """List every problem found, most serious kind first."""
    return (
        *_coil_problems(scan),
        *_sample_problems(scan),
        *_sampling_problems(scan, sampling),
        *_grid_problems(scan),
        *spacing_problems(scan.frames),
        *_noise_problems(scan),
    )


def _coil_problems(scan: RawScan) -> Iterator[str]:
    amplitude = sum(one_image.abs().square().flatten(1).sum(1) for one_image in scan.kspace)
    amplitude = torch.as_tensor(amplitude).sqrt()
    median = float(amplitude[amplitude > 0].median()) if bool((amplitude > 0).any()) else 0.0
    dead = [i for i, value in enumerate(amplitude.tolist()) if value == 0]
    weak = [i for i, value in enumerate(amplitude.tolist()) if 0 < value < WEAK_COIL * median]
    if dead:
        yield f"Dead coil(s) {_listed(dead)}: every sample is zero."
    if weak:
        yield f"Coil(s) {_listed(weak)} are more than {1 / WEAK_COIL:.0f} times weaker than the median coil."


def _sample_problems(scan: RawScan) -> Iterator[str]:
    counted = [count_spikes(*pair) for pair in zip(scan.kspace, scan.mask, strict=True)]
    spikes = [(i, n) for i, n in enumerate(counted) if n]
    if spikes:
        total = sum(n for _, n in spikes)
        yield f"{total} spike(s), single outlying samples, in image(s) {_listed([i for i, _ in spikes])}: look for sparks."
    clipped = [c for c in range(scan.n_coils) if _is_clipped(scan.kspace[:, c])]
    if clipped:
        yield f"Coil(s) {_listed(clipped)} may be clipped: several samples share the exact largest value; lower the gain."


def _sampling_problems(scan: RawScan, sampling: Sampling) -> Iterator[str]:
    least, most = sampling.lines_sampled
    if least < MISSING_SHARE * most:
        short = torch.nonzero(scan.mask.flatten(1).sum(1) < MISSING_SHARE * most)[:, 0].tolist()
        yield f"Image(s) {_listed(short)} have {least} of {most} lines at least: was the scan interrupted?"
    fewest = min(sampling.calibration_lines)
    if fewest < FEW_CALIBRATION_LINES and fewest < min(scan.counts.shape[1:]):
        yield (
            f"Few calibration lines: {fewest} fully sampled about the centre of k-space; {FEW_CALIBRATION_LINES} or more make "
            "reliable coil sensitivities."
        )
    if sampling.averages[0] != sampling.averages[1]:
        yield f"Averages differ: lines hold the mean of {sampling.averages[0]} to {sampling.averages[1]} readouts."


def _grid_problems(scan: RawScan) -> Iterator[str]:
    grid = scan.grid
    for axis, encoded, wanted in zip("xyz", grid.encoded_fov_mm, grid.recon_fov_mm, strict=True):
        if wanted > FOV_TOLERANCE * encoded and (axis != "z" or scan.is_3d):
            yield (
                f"The field of view to reconstruct along {axis} ({wanted:g} mm) is larger than the encoded one "
                f"({encoded:g} mm): the header contradicts itself."
            )
    if not all(frame.geometry_known for frame in scan.frames):
        yield "Position and orientation are unknown: images cannot be placed in the patient."


def spacing_problems(frames: tuple[Frame, ...]) -> Iterator[str]:
    """Tell of slices that are not parallel, not evenly spaced or in the same place."""
    stack = one_stack(frames)
    if len({_rounded(frame.slice_dir) for frame in stack}) > 1:
        yield "Slices are not parallel: they make no single stack."
        return
    steps = slice_steps_mm(frames)
    if steps and max(steps) - min(steps) > SPACING_TOLERANCE_MM:
        yield f"Slices are not evenly spaced: {min(steps):.2f} to {max(steps):.2f} mm between centres."
    elif steps and max(steps) < SPACING_TOLERANCE_MM:
        yield "All slices lie in the same place."


def one_stack(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """One frame for every slice number, where its geometry is known."""
    return tuple({frame.slice: frame for frame in reversed(frames) if frame.geometry_known}.values())


def slice_steps_mm(frames: tuple[Frame, ...]) -> list[float]:
    """Distances between neighbouring slice centres along the slice direction."""
    stack = one_stack(frames)
    heights = sorted(sum(p * d for p, d in zip(f.position_mm, f.slice_dir, strict=True)) for f in stack)
    return [above - below for below, above in pairwise(heights)]


def _noise_problems(scan: RawScan) -> Iterator[str]:
    if scan.noise is None:
        yield "No noise readouts: the noise has to be estimated from the edge of k-space."


def count_spikes(kspace: Tensor, mask: Tensor) -> int:
    """Places in the outer corners of one image's k-space that stick out in a coil, as one sample along kx.

    Args:
        kspace: (coil, [kz,] ky, kx).
        mask: sampled lines, ([kz,] ky).
    """
    width, height = kspace.shape[-1], kspace.shape[-2]
    outer = mask.clone()
    outer[..., height // 2 - height // 8 : height // 2 + height // 8 + 1] = False
    columns = (torch.arange(width, device=kspace.device) - width // 2).abs() > width // 8
    found = torch.zeros(int(outer.sum()), width, dtype=torch.bool, device=kspace.device)
    if not found.numel():
        return 0
    for coil in kspace:
        lines = coil[outer].abs()
        usual = lines[:, columns].flatten()[::MEDIAN_STRIDE].median()
        tall = (lines > SPIKE_OVER_MEDIAN * usual) & columns & (usual > 0)
        if bool(tall.any()):
            beside = torch.maximum(lines.roll(1, -1), lines.roll(-1, -1))
            found |= tall & (lines > SPIKE_OVER_NEIGHBOURS * beside)
    return int(found.sum())


def _is_clipped(kspace: Tensor) -> bool:
    parts = torch.view_as_real(kspace)
    largest = torch.maximum(parts.amax(), -parts.amin())
    return bool(largest > 0) and int((parts == largest).sum() + (parts == -largest).sum()) >= CLIPPED_SAMPLES


def _rounded(direction: tuple[float, float, float]) -> tuple[float, ...]:
    return tuple(round(value, 3) + 0.0 for value in direction)


def _listed(numbers: list[int], at_most: int = 8) -> str:
    text = ", ".join(map(str, numbers[:at_most]))
    return text if len(numbers) <= at_most else f"{text}, ... ({len(numbers)} in all)"
