"""One scan by several methods that share its calibration: magnitudes as `pipeline.reconstruct` delivers them, for less time.

SENSE, compressed sensing at a multiple of its weight, and dl with all that guards it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knerve.recon.learned.maps.prepared import PreparedSlice, prepared_slices
from knerve.recon.learned.method import trusted_images
from knerve.recon.methods import classical, cs, sense
from knerve.recon.quality import fitted, nrmse
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

SETTINGS = Settings(method="dl", snr_map="none")
MULTIPLES = (0.7, 1.0, 1.4)
NOT_USED = ("the network was not used", "a learned image was replaced")


def images_of(scan: RawScan, methods: Sequence[str], cs_multiple: float = 1.0) -> tuple[dict[str, Float], list[str]]:
    """Magnitudes (y, x) of a scan of one slice by method, and notes where dl is not the network's.

    Args:
        scan: raw.
        methods: of "cs", "dl", "sense".
        cs_multiple: of the automatic weight of compressed sensing; dl starts from the automatic one.
    """
    (slice_,) = prepared_slices(scan, SETTINGS)
    found: dict[str, Float] = {}
    notes: list[str] = []
    for method in methods:
        if method == "dl":
            trusted = trusted_images(classical(slice_.encoding, slice_.right_side, SETTINGS), slice_.hybrid)
            image = trusted.image
            notes += [note for note in trusted.notes if note.startswith(NOT_USED)]
        elif method == "cs":
            image = cs(slice_.encoding, slice_.right_side, replace(SETTINGS, regularisation=cs_multiple))
        else:
            image = sense(slice_.encoding, slice_.right_side, SETTINGS)
        found[method] = slice_.finished(image).abs().numpy()
    return found, notes


def best_multiple(scan: RawScan, truth: Float, inside: Mask) -> float:
    """The multiple of the weight of compressed sensing with the least error, found with the truth (y, x)."""
    (slice_,) = prepared_slices(scan, SETTINGS)
    return min(MULTIPLES, key=lambda multiple: _error(slice_, multiple, truth, inside))


def _error(slice_: PreparedSlice, multiple: float, truth: Float, inside: Mask) -> float:
    image = cs(slice_.encoding, slice_.right_side, replace(SETTINGS, regularisation=multiple))
    magnitude = slice_.finished(image).abs().numpy()
    return nrmse(fitted(magnitude, truth, inside), truth, inside)
