"""Read a Siemens TWIX file (`.dat`): Cartesian imaging readouts, reference lines and noise scans onto one grid.

Needs the extra `knerve[twix]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from knerve.datasets.twix_blocks import Measurement, read_measurements, require_twixtools
from knerve.datasets.twix_placement import FrameKey, Readout, frame_key, frames_of, place, symmetric_size
from knerve.datasets.twix_protocol import (
    Protocol,
    dwell_time_us,
    grid_of,
    has_integrated_reference,
    header_of,
    is_3d,
    require_supported,
)
from knerve.recon.errors import RawDataError
from knerve.recon.scan import Calibration, Grid, Noise, RawScan

NEVER_IMAGED = (
    "ACQEND",
    "RTFEEDBACK",
    "HPFEEDBACK",
    "SYNCDATA",
    "REFPHASESTABSCAN",
    "PHASESTABSCAN",
    "PHASCOR",
    "NOISEADJSCAN",
    "noname60",
    "RETRO_DUMMYSCAN",
    "SLICE_ACCEL_REFSCAN",
    "SLICE_ACCEL_PHASCOR",
    "CT_NORMALIZE",
)
NOISE_BANDWIDTH = 0.793  # equivalent noise bandwidth of the Siemens receiver filter over the sampling bandwidth
NOISE_READOUT_US = 7680.0  # of a noise adjustment readout
ADJUSTMENT_DWELL_US = {"AdjCoilSens": 5.0, "AdjQuietCoilSens": 4.0}


@dataclass(frozen=True)
class _Sorted:
    """Readouts of one measurement by their use; the bit numbers of the flags by name."""

    imaging: list[Readout]
    reference: list[Readout]
    noise: list[Readout]
    bits: dict[str, int]


def read_twix(path: Path, group: str | None = None) -> RawScan:
    """Read one measurement of a TWIX file.

    Averages are averaged; every slice of every repetition, set, phase and echo becomes one image. Positions and directions
    come from the readouts (patient coordinates, in the convention of the usual conversion to ISMRMRD).

    Args:
        path: the `.dat` file.
        group: protocol name or number (from 1) of the measurement; None takes the last, which is the imaging scan.

    Raises:
        RawDataError: twixtools is missing, the file is truncated or damaged, or a readout lies outside the matrix.
        UnsupportedError: the measurement is not line-by-line Cartesian.
    """
    measurements = read_measurements(path)
    chosen = _choose(measurements, group, path)
    protocol = Protocol(chosen.protocol)
    require_supported(protocol, path.name)
    readouts = _sort(chosen)
    if not readouts.imaging:
        raise RawDataError(f"{path} holds no imaging readouts in its measurement {chosen.name!r}; name another one.")
    integrated = has_integrated_reference(protocol)
    lines = readouts.imaging + (_new_lines(readouts) if integrated else [])
    keys = sorted({frame_key(head) for head, _ in lines})
    grid = grid_of(
        protocol,
        n_samples=max(samples.shape[1] for _, samples in lines),
        n_lines=symmetric_size(lines, "Lin", "CenterLin"),
        n_partitions=symmetric_size(lines, "Par", "CenterPar"),
    )
    index = {key: i for i, key in enumerate(keys)}
    placed = place(
        lines,
        lambda head: index[frame_key(head)],
        len(keys),
        grid.encoded_matrix,
        volume=is_3d(protocol),
        reflect_bit=readouts.bits["REFLECT"],
        source=path.name,
    )
    noise, noise_notes = _noise(measurements, chosen, protocol, placed.kspace.shape[1])
    calibration, calibration_notes = (
        (None, ()) if integrated else _calibration(readouts, keys, grid, is_3d(protocol), path)
    )
    return RawScan(
        kspace=torch.from_numpy(placed.kspace),
        counts=torch.from_numpy(placed.counts),
        frames=frames_of(keys, lines),
        grid=grid,
        sampled_kx=placed.columns,
        header=header_of(protocol, n_contrasts=len({key[3] for key in keys})),
        noise=noise,
        calibration=calibration,
        notes=(*noise_notes, *calibration_notes),
    )


def _choose(measurements: list[Measurement], group: str | None, path: Path) -> Measurement:
    if group is None:
        return measurements[-1]
    for number, measurement in enumerate(measurements, 1):
        if group in (measurement.name, str(number)):
            return measurement
    known = ", ".join(f"{i} {m.name}".strip() for i, m in enumerate(measurements, 1))
    raise RawDataError(f"{path} has no measurement {group!r}; it holds: {known}.")


def _sort(measurement: Measurement) -> _Sorted:
    bits: dict[str, int] = require_twixtools().mdh_def.mask_dict
    never = sum(1 << bits[name] for name in NEVER_IMAGED)
    sorted_ = _Sorted([], [], [], bits)
    for head, samples in zip(measurement.heads, measurement.samples, strict=True):
        mask = int(head["EvalInfoMask"])
        if mask >> bits["NOISEADJSCAN"] & 1:
            sorted_.noise.append((head, samples))
        elif not mask & never:
            only_reference = mask >> bits["PATREFSCAN"] & 1 and not mask >> bits["PATREFANDIMASCAN"] & 1
            (sorted_.reference if only_reference else sorted_.imaging).append((head, samples))
    return sorted_


def _new_lines(readouts: _Sorted) -> list[Readout]:
    """Integrated reference lines that imaging did not sample."""

    def line(head: np.void) -> tuple[int, ...]:
        return (*frame_key(head), int(head["Counter"]["Lin"]), int(head["Counter"]["Par"]))

    sampled = {line(head) for head, _ in readouts.imaging}
    frames = {frame_key(head) for head, _ in readouts.imaging}
    return [r for r in readouts.reference if line(r[0]) not in sampled and frame_key(r[0]) in frames]


def _calibration(
    readouts: _Sorted, keys: list[FrameKey], grid: Grid, volume: bool, path: Path
) -> tuple[Calibration | None, tuple[str, ...]]:
    """Separate reference lines on a grid of their own, which has the sample spacing of the images."""
    if not readouts.reference:
        return None, ()
    reference_keys = sorted({frame_key(head) for head, _ in readouts.reference})
    index = {key: i for i, key in enumerate(reference_keys)}
    of_frame = [_reference_of(key, reference_keys) for key in keys]
    found = tuple(index[key] for key in of_frame if key is not None)
    if len(found) < len(keys):
        return None, ("Reference lines do not cover every slice, so they were left out.",)
    widest = max(
        2 * max(int(head["CenterCol"]), samples.shape[1] - int(head["CenterCol"]))
        for head, samples in readouts.reference
    )
    placed = place(
        readouts.reference,
        lambda head: index[frame_key(head)],
        len(reference_keys),
        (
            widest,
            symmetric_size(readouts.reference, "Lin", "CenterLin"),
            symmetric_size(readouts.reference, "Par", "CenterPar") if volume else 1,
        ),
        volume=volume,
        reflect_bit=readouts.bits["REFLECT"],
        source=f"{path.name}, reference lines",
    )
    kspace, counts = torch.from_numpy(placed.kspace), torch.from_numpy(placed.counts)
    return Calibration(kspace, counts, found, grid.encoded_fov_mm), ()


def _reference_of(key: FrameKey, reference_keys: list[FrameKey]) -> FrameKey | None:
    """The reference lines of an image: of its own counters, else of its slice and echo, else of its slice."""
    candidates = [
        [r for r in reference_keys if r == key],
        [r for r in reference_keys if r[3:] == key[3:]],
        [r for r in reference_keys if r[4] == key[4]],
    ]
    return next((found[0] for found in candidates if found), None)


def _noise(
    measurements: list[Measurement], chosen: Measurement, protocol: Protocol, n_coils: int
) -> tuple[Noise | None, tuple[str, ...]]:
    """Noise readouts of the measurement itself, else of the last adjustment before it with the same channels."""
    before = measurements[: measurements.index(chosen)]
    for measurement in (chosen, *reversed(before)):
        samples = [samples for _, samples in _sort(measurement).noise if samples.shape[0] == n_coils]
        if samples:
            together = torch.from_numpy(np.concatenate(samples, axis=1))
            notes = [] if measurement is chosen else [f"Noise readouts come from the adjustment {measurement.name}."]
            dwell_us = ADJUSTMENT_DWELL_US.get(measurement.name, NOISE_READOUT_US / samples[0].shape[1])
            imaging_us = dwell_time_us(protocol)
            if imaging_us:
                return Noise(together, dwell_us / (imaging_us * NOISE_BANDWIDTH)), tuple(notes)
            notes.append("The protocol gives no dwell time: noise readouts were taken as sampled like the images.")
            return Noise(together), tuple(notes)
    return None, ()
