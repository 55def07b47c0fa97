"""Gradient waveforms of a Pulseq sequence on the raster, from the events that are written to the file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.rasters import RASTER_S
from knerve.sequences.seq_blocks import SeqBlocks

Real = NDArray[np.float64]
AXES = ("gx", "gy", "gz")


def kind_gradients(blocks: SeqBlocks) -> list[Real]:
    """(kind) gradients (axis, raster edge) in Hz/m of each kind of block, both ends included."""
    return [
        _block_gradients(block, blocks.sequence.block_durations[number])
        for block, number in zip(blocks.contents, blocks.examples, strict=True)
    ]


def waveform_mt_per_m(
    blocks: SeqBlocks, gradients: list[Real], played: Iterable[range], longest_rest_s: float = math.inf
) -> Real:
    """Gradients (axis, raster edge) of runs of blocks, one run right after the other.

    Args:
        blocks: of the sequence.
        gradients: from `kind_gradients`.
        played: runs of indices of blocks.
        longest_rest_s: blocks without any gradient are cut to this; what remembers no longer does not notice.
    """
    longest = math.inf if math.isinf(longest_rest_s) else round(longest_rest_s / RASTER_S)
    pieces = [each[:, : int(min(each.shape[1] - 1, longest))] if not each.any() else each[:, :-1] for each in gradients]
    played_pieces = [pieces[blocks.kind[index]] for run in played for index in run]
    return np.concatenate([*played_pieces, np.zeros((len(AXES), 1))], axis=1) / GAMMA_HZ_PER_T * 1e3


def corners(gradient: SimpleNamespace) -> tuple[Real, Real]:
    """Times in s from the start of the block and amplitudes in Hz/m of a gradient event."""
    if gradient.type == "trap":
        times = np.cumsum([gradient.delay, gradient.rise_time, gradient.flat_time, gradient.fall_time])
        return times, np.array([0.0, gradient.amplitude, gradient.amplitude, 0.0])
    return gradient.delay + gradient.tt, gradient.waveform


def _block_gradients(block: SimpleNamespace, duration_s: float) -> Real:
    edges_s = np.arange(round(duration_s / RASTER_S) + 1) * RASTER_S
    values = np.zeros((len(AXES), len(edges_s)))
    for axis, name in enumerate(AXES):
        gradient = getattr(block, name)
        if gradient is not None:
            times_s, amplitudes = corners(gradient)
            values[axis] = np.interp(edges_s, times_s, amplitudes, left=0.0, right=0.0)
    return values
