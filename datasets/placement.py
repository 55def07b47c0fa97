"""Where each readout goes in k-space, by the placement rules of MRD (ISMRMRD) for Cartesian scans.

    column = kx // 2 + sample - center_sample            IS_REVERSE: kx // 2 + center_sample - sample
    row    = ky // 2 + kspace_encode_step_1 - centre     partition: the same with kspace_encode_step_2

with the encoded matrix (kx, ky, kz) and the centres of the header. That covers asymmetric echoes (columns that stay zero),
partial Fourier (a centre that is not in the middle of the lines) and oversampling. Samples that `discard_pre` and
`discard_post` exclude are left out. Readouts that share a line are averaged, whatever their counters, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knerve.datasets.lazy_zeros import lazy_zeros
from knerve.datasets.mrd_hdf5 import Heads
from knerve.datasets.mrd_header import IMAGE_COUNTERS, Encoding
from knerve.datasets.wording import counted
from knerve.gpu.workers import spread
from knerve.recon.errors import RawDataError, UnsupportedError

REVERSE = 22
FEWEST_COILS = 4  # that are worth a thread
LARGEST_KSPACE_BYTES = 64 * 2**30
LARGEST_CUT = 1 / 16  # of a readout may fall off the grid; more means that header and data do not belong together
Indices = NDArray[np.int64]


def has_flag(heads: Heads, *flags: int) -> NDArray[np.bool_]:
    """Which heads bear any of these flags (numbered from 1, as the MRD specification does)."""
    bits = sum(1 << (flag - 1) for flag in flags)
    found: NDArray[np.bool_] = (heads["flags"] & np.uint64(bits)) != 0
    return found


@dataclass(frozen=True)
class Window:
    """Samples `first` to `last` (exclusive) of a readout fill the grid from `column` on, backwards where `reverse`."""

    first: int
    last: int
    column: int
    reverse: bool

    @property
    def end(self) -> int:
        """One past the last column filled."""
        return self.column + self.last - self.first


@dataclass(frozen=True)
class Plan:
    """Where some readouts go: entry i is about readout `readouts[i]` of the file (ascending).

    Attributes:
        readouts: indices into the file.
        frames: index along the `slice` axis.
        partitions: index along kz, 0 for 2-D.
        rows: index along ky.
        window: index into `windows`.
        windows: the few ways in which readouts fill columns.
        grid: (frame, coil, kz, ky, kx).
        is_3d: whether kz is an axis of its own.
        notes: what was assumed.
    """

    readouts: Indices
    frames: Indices
    partitions: Indices
    rows: Indices
    window: Indices
    windows: tuple[Window, ...]
    grid: tuple[int, int, int, int, int]
    is_3d: bool
    notes: tuple[str, ...]

    @property
    def sampled_kx(self) -> tuple[int, int]:
        """First and one past the last column that any readout fills."""
        return min(window.column for window in self.windows), max(window.end for window in self.windows)


def find_frames(heads: Heads) -> tuple[Indices, Indices, Indices]:
    """Which images the readouts belong to, one for each combination of counters that occurs, in the order `IMAGE_COUNTERS`.

    Returns:
        The counters (frame, counter), the first readout of each frame, and the frame of each readout.
    """
    counters = np.stack([heads[name] for name in IMAGE_COUNTERS], axis=1)
    found, first, frame_of = np.unique(counters, axis=0, return_index=True, return_inverse=True)
    return found, first, frame_of.reshape(-1)


def plan_placement(heads: Heads, readouts: Indices, encoding: Encoding, *, is_3d: bool | None = None) -> Plan:
    """Find the place of each of these `readouts` of the file's `heads`; `is_3d` None decides by the partitions encoded.

    Raises:
        RawDataError: a readout that does not fit into the encoded matrix.
        UnsupportedError: partitions where none were expected.
    """
    heads = heads[readouts]
    kx, ky, kz = encoding.grid.encoded_matrix
    found, _, frames = find_frames(heads)
    has_partitions = len(np.unique(heads["kspace_encode_step_2"])) > 1
    if is_3d is False and has_partitions:
        raise UnsupportedError(
            "The calibration lines are a 3-D scan but the imaging lines are 2-D; that is not supported."
        )
    if is_3d is None:
        is_3d = has_partitions
    rows = _positions(heads, readouts, "kspace_encode_step_1", encoding.centre_line, ky)
    partitions = np.zeros_like(rows)
    if is_3d:
        partitions = _positions(heads, readouts, "kspace_encode_step_2", encoding.centre_partition, kz)
    windows, window, notes = _windows(heads, readouts, kx)
    if kz > 1 and not is_3d:
        notes = (*notes, f"The header gives {kz} partitions but only one is in the data: read as a 2-D scan.")
    coils = int(heads["active_channels"][0])
    grid = (len(found), coils, kz if is_3d else 1, ky, kx)
    return Plan(readouts, frames, partitions, rows, window, windows, grid, is_3d, notes)


def shrink_to_lines(plan: Plan) -> Plan:
    """The same plan on the smallest grid along ky and kz that holds its lines, its centre still at n // 2.

    Cropping k-space keeps the sample spacing and so the field of view: a few calibration lines need no full matrix.
    """
    n_frames, coils, kz, ky, kx = plan.grid
    lines, partitions = plan.rows - ky // 2, plan.partitions - kz // 2
    ky, kz = (int(max(-2 * offset.min(), 2 * offset.max() + 1)) for offset in (lines, partitions))
    grid = (n_frames, coils, kz, ky, kx)
    return replace(plan, rows=lines + ky // 2, partitions=partitions + kz // 2, grid=grid)


class Canvas:
    """K-space in the making: samples are added where a plan puts them; `finish` turns sums into means."""

    def __init__(self, plan: Plan) -> None:
        """Allocate the k-space of a plan.

        Raises:
            RawDataError: it is larger than 64 GiB or than the memory.
        """
        self.plan = plan
        frames, coils, kz, ky, kx = plan.grid
        n_bytes = 8 * frames * coils * kz * ky * kx
        images_and_coils = f"{counted(frames, 'image')} x {counted(coils, 'coil')}"
        size = f"{images_and_coils} x {kz} x {ky} x {kx} samples take {n_bytes / 2**30:.1f} GiB"
        if n_bytes > LARGEST_KSPACE_BYTES:
            raise RawDataError(
                f"K-space is too large: {size}, more than {LARGEST_KSPACE_BYTES // 2**30} GiB. Check the matrix sizes of the "
                "header and the counters of the readouts, or split the file."
            )
        try:
            self._kspace = lazy_zeros(plan.grid)
        except MemoryError as error:
            raise RawDataError(
                f"K-space does not fit into memory: {size}. Use a larger machine, or split the file."
            ) from error
        self._counts = np.zeros((frames, kz, ky), np.int32)

    def add(self, entries: Indices, samples: NDArray[np.complex64]) -> None:
        """Add `samples (readout, coil, sample)` of these entries of the plan, all of the same window."""
        plan = self.plan
        window = plan.windows[plan.window[entries[0]]]
        samples = samples[:, :, window.first : window.last]
        samples = samples[:, :, ::-1] if window.reverse else samples
        columns = slice(window.column, window.end)
        lines = np.stack([plan.frames[entries], plan.partitions[entries], plan.rows[entries]], axis=1).tolist()
        is_new = [self._count(*line) for line in lines]

        def some_coils(start: int, stop: int) -> None:
            coils = slice(start, stop)
            for (frame, partition, row), values, new in zip(lines, samples, is_new, strict=True):
                place = self._kspace[frame, coils, partition, row, columns]
                if new:
                    place[:] = values[coils]
                else:
                    place += values[coils]

        spread(some_coils, samples.shape[1], FEWEST_COILS)

    def finish(self) -> tuple[torch.Tensor, torch.Tensor]:
        """K-space (frame, coil, [kz,] ky, kx), mean over the readouts of each line, and their counts (frame, [kz,] ky)."""
        for frame, partition, row in np.argwhere(self._counts > 1).tolist():
            # as real numbers: dividing complex ones takes several times as long
            parts = self._kspace[frame, :, partition, row].view(np.float32)
            parts /= np.float32(self._counts[frame, partition, row])
        mean, n_readouts = torch.from_numpy(self._kspace), torch.from_numpy(self._counts)
        return (mean, n_readouts) if self.plan.is_3d else (mean[:, :, 0], n_readouts[:, 0])

    def _count(self, frame: int, partition: int, row: int) -> bool:
        """Count a readout of this line; whether it is the first."""
        self._counts[frame, partition, row] += 1
        return bool(self._counts[frame, partition, row] == 1)


def _positions(heads: Heads, readouts: Indices, step: str, centre: int, size: int) -> Indices:
    """Indices along ky or kz."""
    positions: Indices = size // 2 + heads[step] - centre
    outside = np.flatnonzero((positions < 0) | (positions >= size))
    if len(outside):
        i = outside[0]
        raise RawDataError(
            f"Readout {readouts[i]} has {step} {heads[step][i]}; with the centre at {centre} that is position {positions[i]} of "
            f"an encoded matrix of {size} ({len(outside)} such readouts). Check matrixSize and encodingLimits in the header."
        )
    return positions


def _windows(heads: Heads, readouts: Indices, kx: int) -> tuple[tuple[Window, ...], Indices, tuple[str, ...]]:
    """The different ways in which readouts fill columns, and which of them each readout takes."""
    members = ("number_of_samples", "discard_pre", "discard_post", "center_sample")
    keys = np.stack([*(heads[name] for name in members), has_flag(heads, REVERSE).astype(np.int64)], axis=1)
    different, first, window_of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    notes: list[str] = []
    windows = tuple(
        _window(*(int(value) for value in key), kx=kx, readout=int(readouts[i]), notes=notes)
        for key, i in zip(different, first, strict=True)
    )
    if len({(window.column, window.end) for window in windows}) > 1:
        ranges = ", ".join(f"{a} to {b - 1}" for a, b in sorted({(window.column, window.end) for window in windows}))
        notes.append(f"Readouts fill different columns of k-space ({ranges}); what a line lacks stays zero.")
    return windows, window_of.reshape(-1), tuple(dict.fromkeys(notes))


def _window(
    n_samples: int, pre: int, post: int, centre: int, reverse: int, *, kx: int, readout: int, notes: list[str]
) -> Window:
    first, last = pre, n_samples - post
    if first >= last:
        raise RawDataError(
            f"Readout {readout} has {n_samples} samples, of which {pre} + {post} are to be discarded: none is left. "
            "Check number_of_samples, discard_pre and discard_post."
        )
    if centre == 0 and last - first > kx - kx // 2:
        notes.append(f"Readouts of {n_samples} samples name no centre; the middle, {n_samples // 2}, was taken.")
        centre = n_samples // 2
    column = kx // 2 + (centre - (last - 1) if reverse else first - centre)
    end = column + last - first
    before, after = max(0, -column), max(0, end - kx)
    if before + after > max(1, LARGEST_CUT * (last - first)):
        raise RawDataError(
            f"Readout {readout} has {last - first} samples around sample {centre}: they would fill columns {column} to "
            f"{end - 1} of an encoded matrix of {kx}. Check matrixSize x of the header (with oversampling) and center_sample."
        )
    if before + after > 1:
        notes.append(
            f"{before + after} samples of each readout lie outside the encoded matrix of {kx} and were cut off."
        )
    if reverse:
        return Window(first + after, last - before, max(column, 0), True)
    return Window(first + before, last - after, max(column, 0), False)
