"""A slice that compressed sensing has solved already, refined by the trained network: the method dl in two steps."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from knerve.recon.methods import cs, wiener_weight
from knerve.recon.settings import Settings
from knerve.recon.solution import Solution
from knerve.recon.stages import Stopwatch
from knerve.recon.transform_length import in_scan_units


def refined(first: Solution, settings: Settings, watch: Stopwatch) -> Solution:
    """The solution that the method dl gives.

    Args:
        first: of compressed sensing with the `starting_settings`.
        settings: those of the images.
        watch: adds up the seconds.
    """
    from knerve.recon.learned.method import Classical, trusted_images  # only now: a network is loaded with it

    def plain() -> Tensor:
        return cs(first.encoding, first.right_side, settings)

    with watch.stage("refine"):
        weight = wiener_weight(first.encoding, first.right_side)
        known = Classical(first.encoding, first.right_side, first.solved, weight, plain)
        trusted = trusted_images(known, first.data)
        solved = trusted.image
        image = in_scan_units(solved if first.phase is None else solved * first.phase, first.added_lines)
    return replace(
        first,
        settings=settings,
        image=image,
        solved=solved,
        noise_map=trusted.noise,
        is_learned=trusted.is_learned,
        notes=trusted.notes,
    )
