"""Read an MRD (ISMRMRD) HDF5 file: header, readouts, placement and geometry put together into a `RawScan`.

Flags decide what a readout is for. Noise readouts give the noise; calibration lines of a scan whose calibration is separate or
external, or of another encoding space, get a grid of their own; every other calibration line is data like any line. Navigators,
phase corrections and the like are left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from knerve.datasets.mrd_hdf5 import Heads, MrdGroup, open_group
from knerve.datasets.mrd_header import IMAGE_COUNTERS, Encoding, MrdHeader, parse_header
from knerve.datasets.placement import Canvas, Indices, find_frames, has_flag, plan_placement, shrink_to_lines
from knerve.recon.errors import RawDataError, UnsupportedError
from knerve.recon.scan import Calibration, Frame, Noise, RawScan, Vector

NOISE, CALIBRATION, CALIBRATION_AND_IMAGING = 19, 20, 21
LEFT_OUT = {
    "navigation": (23,),
    "phase correction": (24,),
    "feedback": (26, 28),
    "dummy": (27,),
    "surface-coil correction": (29,),
    "phase stabilisation": (30, 31),
}
COMPRESSED = (53, 54, 55, 56)
USUAL_NOISE_BANDWIDTH = 0.793  # of receivers whose header is silent: mean over peak of their passband
NOT_CARTESIAN = {
    "epi": "echo-planar readouts need ghost correction and regridding of their ramps",
    "radial": "radial readouts need gridding",
    "goldenangle": "golden-angle radial readouts need gridding",
    "spiral": "spiral readouts need gridding",
}
SKEW_TOLERANCE = 1e-3  # cosine of the angle between directions that should be orthogonal


@dataclass(frozen=True)
class Roles:
    """What each readout is for, as ascending indices into the file; `notes` tell what was left out."""

    imaging: Indices
    calibration: Indices
    noise: Indices
    encoding: Encoding
    calibration_encoding: Encoding
    notes: tuple[str, ...]


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
    ).with_notes(*raw.notes, *header.notes, *roles.notes, *imaging.plan.notes, *frame_notes, *noise_notes)
    if calibration is None:
        return scan
    of_frame, calibration_notes = _calibration_of_frames(calibration, raw.heads, frames)
    lines = Calibration(*calibration.finish(), of_frame, roles.calibration_encoding.grid.encoded_fov_mm)
    return replace(scan, calibration=lines).with_notes(*calibration.plan.notes, *calibration_notes)


def sort_readouts(heads: Heads, header: MrdHeader) -> Roles:
    """Decide from flags and encoding spaces what each readout is for.

    Raises:
        RawDataError: no imaging readouts, an encoding that the header lacks, or a changing number of channels.
        UnsupportedError: compressed readouts, or a trajectory that is not Cartesian.
    """
    noise = has_flag(heads, NOISE)
    by_kind = {kind: has_flag(heads, *flags) & ~noise for kind, flags in LEFT_OUT.items()}
    kept = ~noise & ~np.logical_or.reduce(list(by_kind.values()))
    counted = ", ".join(f"{int(found.sum())} {kind}" for kind, found in by_kind.items() if found.any())
    notes = [f"Readouts left out by their flags: {counted}."] if counted else []
    if not kept.any():
        raise RawDataError(
            f"None of the {len(heads)} readouts holds image data: {int(noise.sum())} noise{counted and ', ' + counted}. Is this "
            "the noise measurement of another scan?"
        )
    _require_known_encodings(heads, kept, header)
    main, other, calibration = _separate_calibration(heads, kept, header)
    encoding, calibration_encoding = header.encodings[main], header.encodings[other]
    elsewhere = kept & (heads["encoding_space_ref"] != main)
    ignored = elsewhere & ~calibration
    if ignored.any():
        others = ", ".join(map(str, np.unique(heads["encoding_space_ref"][ignored])))
        notes.append(
            f"{int(ignored.sum())} readouts of encoding space {others} are no part of these images and were left out."
        )
    imaging = kept & ~elsewhere & ~calibration
    for used in (encoding, calibration_encoding):
        _require_cartesian(used)
    _require_plain_samples(heads, imaging | calibration | noise)
    return Roles(
        imaging=np.flatnonzero(imaging),
        calibration=np.flatnonzero(calibration),
        noise=np.flatnonzero(noise),
        encoding=encoding,
        calibration_encoding=calibration_encoding,
        notes=tuple(notes),
    )


def make_frames(heads: Heads, encoding: Encoding) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """One frame for each image, in the order of `find_frames`, with the geometry of its first readout, and notes."""
    found, first, _ = find_frames(heads)
    notes: list[str] = []
    frames = tuple(_frame(heads[i], notes) for i in first)
    n_unknown = sum(not frame.geometry_known for frame in frames)
    if n_unknown:
        notes.append(
            f"{n_unknown} of {len(frames)} images have no read and phase directions: their orientation is unknown."
        )
    n_values = {name: len(np.unique(found[:, i])) for i, name in enumerate(IMAGE_COUNTERS)}
    n_product = int(np.prod(list(n_values.values())))
    if n_product > len(frames):
        product = " x ".join(f"{n} {name}(s)" for name, n in n_values.items() if n > 1)
        notes.append(f"{n_product - len(frames)} of {n_product} images ({product}) have no readouts and were left out.")
    for name, n in n_values.items():
        if n < encoding.announced.get(name, 0):
            notes.append(f"The header announces {encoding.announced[name]} {name}(s), the data hold {n}.")
    return frames, tuple(dict.fromkeys(notes))


def _separate_calibration(
    heads: Heads, kept: NDArray[np.bool_], header: MrdHeader
) -> tuple[int, int, NDArray[np.bool_]]:
    """The encoding space of the images, that of separate calibration, and which of the `kept` readouts are such calibration.

    Images are what most unflagged readouts encode. Another space is calibration where its readouts say so or its header does.
    """
    space = heads["encoding_space_ref"]
    plain = kept & ~has_flag(heads, CALIBRATION)
    main = int(np.bincount(space[plain if plain.any() else kept]).argmax())
    is_main = space == main
    spaces_apart = [
        i for i, e in enumerate(header.encodings) if e.is_calibration or header.encodings[main].is_calibration
    ]
    calibration = ~is_main & (has_flag(heads, CALIBRATION, CALIBRATION_AND_IMAGING) | np.isin(space, spaces_apart))
    if header.encodings[main].is_calibration and plain.any():
        calibration |= has_flag(heads, CALIBRATION)
    calibration &= kept
    other = int(space[calibration].max()) if calibration.any() else main
    return main, other, calibration & (space == other)


def _require_known_encodings(heads: Heads, kept: NDArray[np.bool_], header: MrdHeader) -> None:
    unknown = np.flatnonzero(kept & (heads["encoding_space_ref"] >= len(header.encodings)))
    if len(unknown):
        raise RawDataError(
            f"Readout {unknown[0]} names encoding space {heads['encoding_space_ref'][unknown[0]]}, but the header has only "
            f"{len(header.encodings)} (counted from 0). Header and readouts do not belong together."
        )


def _require_cartesian(encoding: Encoding) -> None:
    if encoding.trajectory != "cartesian":
        why = NOT_CARTESIAN.get(encoding.trajectory, "nobody knows how to place its readouts")
        raise UnsupportedError(
            f"The trajectory is '{encoding.trajectory}', but knerve reconstructs 'cartesian' scans only: {why}."
        )


def _require_plain_samples(heads: Heads, used: NDArray[np.bool_]) -> None:
    """Refuse compressed samples and a number of channels that is zero or changes."""
    compressed = np.flatnonzero(used & has_flag(heads, *COMPRESSED))
    if len(compressed):
        flag = next(flag for flag in COMPRESSED if has_flag(heads, flag)[compressed[0]])
        raise UnsupportedError(
            f"Readout {compressed[0]} is compressed (flag {flag}); knerve reads files with plain float32 samples. Store the raw "
            "data without compression."
        )
    channels, readouts = heads["active_channels"], np.flatnonzero(used)
    expected = channels[readouts[0]]
    changed = readouts[channels[readouts] != expected]
    if len(changed):
        raise RawDataError(
            f"Readout {changed[0]} has {channels[changed[0]]} channels, those before it have {expected} (noise readouts count "
            "too): one scan needs the same channels throughout. Was the coil selection changed midway?"
        )
    if expected == 0:
        raise RawDataError("The readouts have 0 active channels; at least one receive channel is needed.")


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
        plan = replace(plan, notes=(*plan.notes, f"{n_left} repeated calibration lines were left out."))
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
        broken = ~np.isfinite(samples)
        if broken.any():
            self.n_samples += int(broken.sum())
            self.readouts += readouts[broken.any(axis=(1, 2))].tolist()

    def refuse(self) -> None:
        if self.readouts:
            raise RawDataError(
                f"{self.n_samples} samples in {len(self.readouts)} readouts are NaN or infinite, the first in readout "
                f"{min(self.readouts)}. No image can be made of them: export the raw data again."
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
        notes.append(
            f"{len(samples) - len(chosen)} noise readouts of another dwell time than {times[0]:g} us were left out."
        )
    if bandwidth is None:
        notes.append(
            f"The header gives no relativeReceiverNoiseBandwidth; the usual {USUAL_NOISE_BANDWIDTH} was taken."
        )
        bandwidth = USUAL_NOISE_BANDWIDTH
    ratio = times[0] / imaging_time_us if min(times[0], imaging_time_us) > 0 else 1.0
    if min(times[0], imaging_time_us) <= 0:
        notes.append("The readouts give no dwell time; that of noise and imaging readouts was taken to be the same.")
    return Noise(torch.from_numpy(np.concatenate(chosen, axis=1)), float(ratio / bandwidth)), notes


def _frame(head: np.void, notes: list[str]) -> Frame:
    """The frame that a readout with this head belongs to."""
    frame = Frame(
        slice=int(head["slice"]),
        contrast=int(head["contrast"]),
        phase=int(head["phase"]),
        repetition=int(head["repetition"]),
        set=int(head["set"]),
        position_mm=_vector(head["position"]),
        table_position_mm=_vector(head["patient_table_position"]),
        acquisition_time_stamp=int(head["acquisition_time_stamp"]),
    )
    directions = _orthonormal(head["read_dir"], head["phase_dir"], head["slice_dir"], notes)
    if directions is None or not np.isfinite(head["position"]).all():
        return frame
    read_dir, phase_dir, slice_dir = directions
    return replace(frame, read_dir=read_dir, phase_dir=phase_dir, slice_dir=slice_dir, geometry_known=True)


def _orthonormal(
    read: NDArray[np.float64], phase: NDArray[np.float64], normal: NDArray[np.float64], notes: list[str]
) -> tuple[Vector, Vector, Vector] | None:
    """Unit directions at right angles, keeping the read direction and the side of the normal; None where they say nothing."""
    lengths = np.array([np.linalg.norm(read), np.linalg.norm(phase)])
    if not (np.isfinite(lengths).all() and lengths.all()):
        return None
    read, phase = read / lengths[0], phase / lengths[1]
    skew = float(read @ phase)
    phase = phase - skew * read
    if np.linalg.norm(phase) < SKEW_TOLERANCE:
        return None
    phase /= np.linalg.norm(phase)
    cross = np.cross(read, phase)
    side = float(normal @ cross)
    length = float(np.linalg.norm(normal))
    if (length > 0 and abs(side) < (1 - SKEW_TOLERANCE) * length) or abs(skew) > SKEW_TOLERANCE:
        notes.append(
            "Read, phase and slice directions are not at right angles; they were made so, keeping the read direction."
        )
    return _vector(read), _vector(phase), _vector(-cross if side < 0 else cross)


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) if np.isfinite(value) else 0.0 for value in values)
    return x, y, z
