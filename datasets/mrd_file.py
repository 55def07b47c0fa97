"""Read an MRD (ISMRMRD) HDF5 file: header, readouts, placement and geometry put together into a `RawScan`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from knerve.datasets.counter_check import warnings_of_counters
from knerve.datasets.frame_geometry import make_frames
from knerve.datasets.mrd_hdf5 import Heads, MrdGroup, open_group
from knerve.datasets.mrd_header import IMAGE_COUNTERS, parse_header
from knerve.datasets.mrd_roles import Roles, sort_readouts
from knerve.datasets.placement import Canvas, Indices, find_frames, plan_placement, shrink_to_lines
from knerve.datasets.wording import counted
from knerve.recon.errors import RawDataError
from knerve.recon.scan import Calibration, Frame, Noise, RawScan

USUAL_NOISE_BANDWIDTH = 0.793  # of receivers whose header is silent: mean over peak of their passband


def read_mrd(path: Path, group: str | None = None) -> RawScan:
    """Read one scan.

    Args:
        path: an ISMRMRD HDF5 file (.h5, .mrd).
        group: HDF5 group that holds `xml` and `data`; None takes "dataset", or else the only one there is.

    Raises:
        RawDataError: the file, its header or a readout is broken; the text says which and how.
        UnsupportedError: the scan is not Cartesian, or stored in a way that knerve does not read.
    """
    with open_group(path, group) as raw:
        header = parse_header(raw.header_xml)
        roles = sort_readouts(raw.heads, header)
        imaging = Canvas(plan_placement(raw.heads, roles.imaging, roles.encoding))
        calibration = _calibration_canvas(raw.heads, roles, is_3d=imaging.plan.is_3d)
        canvases = [imaging] if calibration is None else [imaging, calibration]
        noise_samples = _read_samples(raw, canvases, roles.noise)
    warnings = warnings_of_counters(raw.heads, imaging.plan)
    frames, frame_notes = make_frames(raw.heads[roles.imaging], roles.encoding)
    sample_time_us = float(np.median(raw.heads["sample_time_us"][roles.imaging]))
    noise, noise_notes = _noise(noise_samples, raw.heads[roles.noise], sample_time_us, header.relative_noise_bandwidth)
    kspace, counts = imaging.finish()
    scan = RawScan(
        kspace=kspace,
        counts=counts,
        frames=frames,
        grid=roles.encoding.grid,
        sampled_kx=imaging.plan.sampled_kx,
        header=replace(header.scan_header, sample_time_us=sample_time_us if sample_time_us > 0 else None),
        noise=noise,
    ).with_notes(*warnings, *raw.notes, *header.notes, *roles.notes, *imaging.plan.notes, *frame_notes, *noise_notes)
    if calibration is None:
        return scan
    of_frame, calibration_notes = _calibration_of_frames(calibration, raw.heads, frames)
    lines = Calibration(*calibration.finish(), of_frame, roles.calibration_encoding.grid.encoded_fov_mm)
    return replace(scan, calibration=lines).with_notes(*calibration.plan.notes, *calibration_notes)


def _calibration_canvas(heads: Heads, roles: Roles, *, is_3d: bool) -> Canvas | None:
    """Place for separate calibration lines; of a slice calibrated several times only the first time counts."""
    readouts = roles.calibration
    if len(readouts) == 0:
        return None
    found, _, frame_of = find_frames(heads[readouts])
    _, first_of_slice = np.unique(found[:, IMAGE_COUNTERS.index("slice")], return_index=True)
    chosen = readouts[np.isin(frame_of, first_of_slice)]
    plan = plan_placement(heads, chosen, roles.calibration_encoding, is_3d=is_3d)
    if len(chosen) < len(readouts):
        n_left = len(readouts) - len(chosen)
        plan = replace(plan, notes=(*plan.notes, f"Left out: {counted(n_left, 'repeated calibration line')}."))
    return Canvas(shrink_to_lines(plan))


def _calibration_of_frames(
    canvas: Canvas, heads: Heads, frames: tuple[Frame, ...]
) -> tuple[tuple[int, ...], list[str]]:
    """The calibration entry of each frame: that of its slice, or else of the slice with the nearest number."""
    found, _, _ = find_frames(heads[canvas.plan.readouts])
    slices = found[:, IMAGE_COUNTERS.index("slice")]
    of_frame = tuple(int(np.abs(slices - frame.slice).argmin()) for frame in frames)
    lacking = sorted({frame.slice for frame in frames} - set(slices.tolist()))
    notes = (
        [f"Slices {lacking} have no calibration lines; those of the nearest slice number were taken."]
        if lacking
        else []
    )
    return of_frame, notes


def _read_samples(raw: MrdGroup, canvases: list[Canvas], noise: Indices) -> list[NDArray[np.complex64]]:
    """Read the file once, block by block: put samples on the canvases and return the noise readouts, each (coil, sample)."""
    noise_samples: list[NDArray[np.complex64]] = []
    broken = _BrokenSamples()
    for block in raw.blocks():
        for canvas in canvases:
            plan = canvas.plan
            entries = np.arange(*np.searchsorted(plan.readouts, (block.first, block.end)))
            for window in np.unique(plan.window[entries]):
                chosen = entries[plan.window[entries] == window]
                samples = block.samples(plan.readouts[chosen])
                broken.look(plan.readouts[chosen], samples)
                canvas.add(chosen, samples)
        for readout in noise[slice(*np.searchsorted(noise, (block.first, block.end)))]:
            samples = block.samples(readout[None])
            broken.look(readout[None], samples)
            head = raw.heads[readout]
            noise_samples.append(samples[0, :, head["discard_pre"] : head["number_of_samples"] - head["discard_post"]])
    broken.refuse()
    return noise_samples


class _BrokenSamples:
    """Samples that are NaN or infinite, counted over the whole file so that the user learns how bad it is."""

    def __init__(self) -> None:
        self.n_samples = 0
        self.readouts: list[int] = []

    def look(self, readouts: Indices, samples: NDArray[np.complex64]) -> None:
        with np.errstate(all="ignore"):
            if np.isfinite(samples.view(np.float32).sum()):  # quicker, and finite only if all are
                return
        broken = ~np.isfinite(samples)
        if broken.any():
            self.n_samples += int(broken.sum())
            self.readouts += readouts[broken.any(axis=(1, 2))].tolist()

    def refuse(self) -> None:
        if self.readouts:
            raise RawDataError(
                f"NaN or infinite: {counted(self.n_samples, 'sample')} in {counted(len(self.readouts), 'readout')}, the first in "
                f"readout {min(self.readouts)}. No image can be made of them: export the raw data again."
            )


def _noise(
    samples: list[NDArray[np.complex64]], heads: Heads, imaging_time_us: float, bandwidth: float | None
) -> tuple[Noise | None, list[str]]:
    """Noise readouts of one dwell time, and the variance of an imaging sample over theirs.

    A receiver of dwell time T lets through noise in proportion to 1 / T; its filter has edges, so that the mean over all
    samples is only `bandwidth` (0.793 by custom) of the noise density inside the field of view:

        variance of imaging samples = variance of noise samples * T_noise / (T_imaging * bandwidth)
    """
    if not samples:
        return None, []
    notes = []
    times = heads["sample_time_us"]
    chosen = [one for one, time_us in zip(samples, times, strict=True) if time_us == times[0]]
    if len(chosen) < len(samples):
        left_out = counted(len(samples) - len(chosen), "noise readout")
        notes.append(f"Left out: {left_out} of another dwell time than {times[0]:g} us.")
    if bandwidth is None:
        notes.append(
            f"The header gives no relativeReceiverNoiseBandwidth; the usual {USUAL_NOISE_BANDWIDTH} was taken."
        )
        bandwidth = USUAL_NOISE_BANDWIDTH
    ratio = times[0] / imaging_time_us if min(times[0], imaging_time_us) > 0 else 1.0
    if min(times[0], imaging_time_us) <= 0:
        notes.append("The readouts give no dwell time; that of noise and imaging readouts was taken to be the same.")
    return Noise(torch.from_numpy(np.concatenate(chosen, axis=1)), float(ratio / bandwidth)), notes
