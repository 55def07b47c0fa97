"""The blocks of a Pulseq sequence as arrays: most repeat, so what a block does is worked out once per kind."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.rasters import RASTER_S

if TYPE_CHECKING:
    from pypulseq import Sequence

Index = NDArray[np.int64]
EXTENSIONS = 6  # column of a block's events


@dataclass(frozen=True)
class SeqBlocks:
    """All blocks in their order, and one example of each kind: the same events, whatever its labels, and duration.

    Attributes:
        sequence: they belong to.
        ticks: (block) duration in raster steps.
        kind: (block) index of its kind.
        examples: (kind) number of one block of it in the sequence.
        contents: (kind) its events as PyPulseq gives them.
        labels: (block) identity of its list of labels, 0 where it sets none.
    """

    sequence: Sequence
    ticks: Index
    kind: Index
    examples: tuple[int, ...]
    contents: tuple[SimpleNamespace, ...]
    labels: Index

    @property
    def start_s(self) -> NDArray[np.float64]:
        """(block) its beginning."""
        return np.asarray((np.cumsum(self.ticks) - self.ticks) * RASTER_S)

    @property
    def duration_s(self) -> float:
        """Of all blocks."""
        return float(self.ticks.sum()) * RASTER_S

    def timing_problems(self) -> list[SimpleNamespace]:
        """What PyPulseq finds wrong with the timing of any kind of block."""
        few = copy(self.sequence)
        few.block_events = {number: self.sequence.block_events[number] for number in self.examples}
        few.block_durations = {number: self.sequence.block_durations[number] for number in self.examples}
        _, problems = few.check_timing()
        return list(problems)

    def labels_in_force(self, blocks: Index) -> Mapping[str, Index]:
        """Values of every label at these blocks, (given block) each; a label holds until it is set again."""
        identities, which = np.unique(self.labels, return_inverse=True)
        sets = [_label_list(self.sequence, identity) for identity in identities.tolist()]
        values: dict[str, Index] = {}
        for name in {name for each in sets for name in each}:
            is_set = np.array([name in each for each in sets])[which]
            set_here = np.array([each.get(name, 0) for each in sets], dtype=np.int64)[which]
            last = np.maximum.accumulate(np.where(is_set, np.arange(len(is_set)), 0))
            values[name] = set_here[last][blocks]
        return values


def seq_blocks(sequence: Sequence) -> SeqBlocks:
    """The blocks of a sequence."""
    events = np.stack(list(sequence.block_events.values())).astype(np.int64)
    ticks = np.rint(np.array(list(sequence.block_durations.values())) / RASTER_S).astype(np.int64)
    what = np.column_stack([events[:, :EXTENSIONS], ticks])
    _, first, kind = np.unique(what, axis=0, return_index=True, return_inverse=True)
    numbers = list(sequence.block_events)
    examples = tuple(numbers[index] for index in first.tolist())
    return SeqBlocks(
        sequence=sequence,
        ticks=ticks,
        kind=kind.reshape(-1),
        examples=examples,
        contents=tuple(sequence.get_block(number) for number in examples),
        labels=events[:, EXTENSIONS],
    )


def _label_list(sequence: Sequence, identity: int) -> dict[str, int]:
    """The labels that a list of extensions sets."""
    from pypulseq.supported_labels_rf_use import get_supported_labels

    names, found = get_supported_labels(), dict[str, int]()
    while identity:
        _, reference, identity = sequence.extensions_library.data[identity]
        value, label = sequence.label_set_library.data[reference]
        found[names[int(label) - 1]] = int(value)
    return found
