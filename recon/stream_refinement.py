"""A slice that compressed sensing has solved already, refined by the trained network: the method dl in two steps."""

from __future__ import annotations

from dataclasses import replace

import torch

from knerve.recon.methods import wiener_weight
from knerve.recon.solution import Solution
from knerve.recon.stages import Stopwatch
from knerve.recon.transform_length import in_scan_units


def refined(first: Solution, watch: Stopwatch) -> tuple[Solution, bool]:
    """The solution that the method dl gives, and whether the network changed it: it refuses slices that it does not know.

    Args:
        first: of the method cs.
        watch: adds up the seconds.
    """
    from knerve.recon.learned.method import Classical, trusted_images  # only now: a network is loaded with it

    with watch.stage("refine"):
        weight = wiener_weight(first.encoding, first.right_side)
        known = Classical(first.encoding, first.right_side, first.solved, weight)
        solved, noise_map, notes = trusted_images(known, first.data)
        image = in_scan_units(solved if first.phase is None else solved * first.phase, first.added_lines)
    is_learned = not torch.equal(solved, first.solved)
    return replace(first, image=image, solved=solved, noise_map=noise_map, notes=notes), is_learned
