"""Counters that tear an image apart: a writer that steps, say, the repetition with every line makes an image of each line."""

from __future__ import annotations

import numpy as np

from knerve.datasets.mrd_hdf5 import Heads
from knerve.datasets.mrd_header import IMAGE_COUNTERS
from knerve.datasets.placement import Plan
from knerve.datasets.wording import counted

MANY_IMAGES = 16  # fewer may be a test of single lines


def warnings_of_counters(heads: Heads, plan: Plan) -> tuple[str, ...]:
    """A loud note where most of many images have a single line, although the matrix asks for more.

    Args:
        heads: of the whole file.
        plan: where its imaging readouts go.
    """
    n_images, _, n_partitions, n_lines, _ = plan.grid
    if n_images < MANY_IMAGES or n_partitions * n_lines == 1:
        return ()
    lines = np.unique(np.stack([plan.frames, plan.partitions, plan.rows]), axis=1)
    if np.median(np.bincount(lines[0])) > 1:
        return ()
    n_values = {name: len(np.unique(heads[name][plan.readouts])) for name in IMAGE_COUNTERS}
    suspect = max(n_values, key=lambda name: n_values[name])
    return (
        f"Warning: the readouts' counters make {n_images} images of one line each, of {n_lines * n_partitions} that an image "
        f"has. The counter {suspect} takes {counted(n_values[suspect], 'value')}: was it stepped with every line? The images "
        "will be useless; correct the counter in the raw file.",
    )
