"""Where in k-space each readout of a spin-echo sequence lies, and when.

Gradients are integrated from the excitation on; every refocusing pulse turns the sign round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.rasters import RASTER_S
from knerve.sequences.seq_blocks import Index, SeqBlocks

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Readouts:
    """What a sequence reads, in the order of time.

    Attributes:
        k: (readout, axis): place in 1/m of the sample n / 2.
        echo_time_s: (readout) of that sample after the middle of the excitation.
        inversion_time_s: (readout) from the middle of the inversion to that of the excitation; nan without an inversion.
        labels: (readout) each.
    """

    k: Real
    echo_time_s: Real
    inversion_time_s: Real
    labels: Mapping[str, Index]


@dataclass(frozen=True)
class _Moment:
    """The moment in a kind of block that matters: the middle of a pulse or the echo of a readout."""

    what: str
    at_s: float


def readouts(blocks: SeqBlocks, gradients: list[Real]) -> Readouts:
    """The readouts of a sequence; `gradients` as from `seq_waveform.kind_gradients`."""
    moments = [_moment(block) for block in blocks.contents]
    before = np.stack([_area(g, moment.at_s) for g, moment in zip(gradients, moments, strict=True)])[blocks.kind]
    whole = np.stack([_area(g, (g.shape[1] - 1) * RASTER_S) for g in gradients])[blocks.kind]
    what = np.array([moment.what for moment in moments])[blocks.kind]
    at_s = blocks.start_s + np.array([moment.at_s for moment in moments])[blocks.kind]

    turned = np.cumsum(what == "refocusing") % 2
    sign = 1.0 - 2 * turned  # from the block's moment on
    sign_before = np.where(what == "refocusing", -sign, sign)
    signed = sign_before[:, None] * before + sign[:, None] * (whole - before)
    until_moment = np.cumsum(signed, axis=0) - sign[:, None] * (whole - before)

    read = np.flatnonzero(what == "adc")
    excited = _last(what == "excitation")[read]
    inverted = _last(what == "inversion")[read]
    return Readouts(
        k=sign[read, None] * (until_moment[read] - until_moment[excited]),
        echo_time_s=at_s[read] - at_s[excited],
        inversion_time_s=np.where(inverted < 0, np.nan, at_s[excited] - at_s[inverted]),
        labels=blocks.labels_in_force(read),
    )


def _last(chosen: NDArray[np.bool_]) -> Index:
    """(block) index of the last chosen block up to here, -1 before the first."""
    return np.maximum.accumulate(np.where(chosen, np.arange(len(chosen)), -1))


def _moment(block: SimpleNamespace) -> _Moment:
    if block.rf is not None:
        return _Moment(block.rf.use, block.rf.delay + block.rf.center)
    if block.adc is not None:
        return _Moment("adc", block.adc.delay + (block.adc.num_samples / 2 + 0.5) * block.adc.dwell)
    return _Moment("", 0.0)


def _area(gradients: Real, until_s: float) -> Real:
    """(axis) area in 1/m of gradients (axis, raster edge) from the start to a moment."""
    whole_steps = min(int(until_s / RASTER_S + 1e-6), gradients.shape[1] - 1)
    area = np.trapezoid(gradients[:, : whole_steps + 1], dx=RASTER_S, axis=1)
    rest_s = until_s - whole_steps * RASTER_S
    if rest_s > 0 and whole_steps + 1 < gradients.shape[1]:
        start, end = gradients[:, whole_steps], gradients[:, whole_steps + 1]
        area = area + rest_s * (start + (end - start) * rest_s / RASTER_S / 2)
    return np.asarray(area)
