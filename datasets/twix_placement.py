"""Put Siemens readouts onto a grid by their counters, and read from their headers which image they make and where it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from knerve.recon.errors import RawDataError
from knerve.recon.scan import Frame, Vector

Readout = tuple[np.void, NDArray[np.complex64]]  # head, samples (coil, sample)
FrameKey = tuple[int, int, int, int, int]  # repetition, set, phase, echo, slice: the order of the images


def frame_key(head: np.void) -> FrameKey:
    """Which image a readout belongs to."""
    counter = head["Counter"]
    return int(counter["Rep"]), int(counter["Set"]), int(counter["Phs"]), int(counter["Eco"]), int(counter["Sli"])


def symmetric_size(readouts: list[Readout], counter: str, centre: str) -> int:
    """Smallest even matrix about the centre of k-space that holds all lines (or partitions)."""
    offsets = [int(head["Counter"][counter]) - int(head[centre]) for head, _ in readouts]
    return 2 * max(-min(offsets), max(offsets) + 1)


@dataclass(frozen=True)
class Placed:
    """k-space (slice, coil, [kz,] ky, kx), counts (slice, [kz,] ky) and the columns that the readouts fill."""

    kspace: NDArray[np.complex64]
    counts: NDArray[np.int32]
    columns: tuple[int, int]


def place(
    readouts: list[Readout],
    index_of: Callable[[np.void], int],
    n_entries: int,
    matrix: tuple[int, int, int],
    *,
    volume: bool,
    reflect_bit: int,
    source: str,
) -> Placed:
    """Mean of all readouts of each line, the centre of k-space at index n // 2 of every axis.

    Args:
        readouts: heads and samples, all of the same number of channels.
        index_of: entry of the slice axis for a head.
        n_entries: length of the slice axis.
        matrix: (x, y, z).
        volume: whether partitions are encoded.
        reflect_bit: number of the flag that marks readouts acquired backwards.
        source: file name, for errors.

    Raises:
        RawDataError: a readout lies outside the matrix or holds NaN, or the number of channels changes.
    """
    n_x, n_y, n_z = matrix
    n_coils = _n_coils(readouts, source)
    total = np.zeros((n_entries, n_coils, n_z, n_y, n_x), np.complex64)
    counts = np.zeros((n_entries, n_z, n_y), np.int32)
    first, last = n_x, 0
    for head, samples in readouts:
        start, used = _column(head, samples, n_x, reflected=bool(int(head["EvalInfoMask"]) >> reflect_bit & 1))
        y = int(head["Counter"]["Lin"]) - int(head["CenterLin"]) + n_y // 2
        z = int(head["Counter"]["Par"]) - int(head["CenterPar"]) + n_z // 2 if volume else 0
        if not (0 <= y < n_y and 0 <= z < n_z and start >= 0 and start + used.shape[1] <= n_x):
            raise RawDataError(
                f"{source}: a readout lies outside the matrix {n_x} x {n_y} x {n_z}: columns {start} to "
                f"{start + used.shape[1] - 1}, line {y}, partition {z}. Its counters contradict the protocol."
            )
        if not np.isfinite(used).all():
            raise RawDataError(
                f"{source} holds NaN or Inf samples, first in line {y} of image {index_of(head)}. Export the raw data again."
            )
        total[index_of(head), :, z, y, start : start + used.shape[1]] += used
        counts[index_of(head), z, y] += 1
        first, last = min(first, start), max(last, start + used.shape[1])
    total /= np.maximum(counts, 1)[:, None, :, :, None]
    if volume:
        return Placed(total, counts, (first, last))
    return Placed(total[:, :, 0], counts[:, 0], (first, last))


def _n_coils(readouts: list[Readout], source: str) -> int:
    numbers = sorted({samples.shape[0] for _, samples in readouts})
    if len(numbers) > 1:
        raise RawDataError(
            f"{source}: the number of channels changes from readout to readout ({', '.join(map(str, numbers))}); "
            "one measurement must keep it. Export the measurement again."
        )
    return numbers[0]


def _column(
    head: np.void, samples: NDArray[np.complex64], n_x: int, *, reflected: bool
) -> tuple[int, NDArray[np.complex64]]:
    """First column of a readout and its samples (coil, sample), cut-off ends removed, reflected ones turned around."""
    n = samples.shape[1]
    pre, post = int(head["CutOff"]["Pre"]), int(head["CutOff"]["Post"])
    centre = int(head["CenterCol"]) or n // 2
    used = samples[:, pre : n - post]
    centre -= pre
    if reflected:
        used, centre = used[:, ::-1], used.shape[1] - 1 - centre
    return n_x // 2 - centre, used


def frames_of(keys: list[FrameKey], lines: list[Readout]) -> tuple[Frame, ...]:
    """Counters, position and orientation of every image, from its first readout."""
    first_of: dict[FrameKey, np.void] = {}
    for head, _ in lines:
        first_of.setdefault(frame_key(head), head)
    return tuple(_frame(key, first_of[key]) for key in keys)


def _frame(key: FrameKey, head: np.void) -> Frame:
    repetition, set_, phase, contrast, slice_ = key
    place = head["SliceData"]["SlicePos"]
    frame = Frame(
        slice=slice_,
        contrast=contrast,
        phase=phase,
        repetition=repetition,
        set=set_,
        position_mm=(float(place["Sag"]), float(place["Cor"]), float(place["Tra"])),
        acquisition_time_stamp=int(head["TimeStamp"]),
    )
    directions = _directions(np.asarray(head["SliceData"]["Quaternion"], np.float64))
    if directions is None:
        return frame
    phase_dir, read_dir, slice_dir = directions
    return replace(frame, read_dir=read_dir, phase_dir=phase_dir, slice_dir=slice_dir, geometry_known=True)


def _directions(quaternion: NDArray[np.float64]) -> tuple[Vector, Vector, Vector] | None:
    """Phase, read and slice direction: the columns of the rotation that a quaternion (w, x, y, z) stands for."""
    length = float(np.linalg.norm(quaternion))
    if abs(length - 1) > 0.01:
        return None
    w, x, y, z = quaternion / length
    columns = (
        (1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)),
        (2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)),
        (2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)),
    )
    phase_dir, read_dir, slice_dir = ((float(a), float(b), float(c)) for a, b, c in columns)
    return phase_dir, read_dir, slice_dir
