"""Protons that behave alike: the tissues of an object, those with two resonances as two groups.

Fat is one group at its main peak. Half of the protons of ethanol lie in the band of fat: they are displaced and suppressed
as fat is, the others are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from knerve.sequences.fat import FAT_WATER_PPM
from knerve.sequences.tissues import Tissue, tissue


@dataclass(frozen=True)
class SpinGroup:
    """Protons of one tissue at one resonance.

    Attributes:
        index: of the tissue among those of the object.
        tissue: with the proton density of this group alone, all of it suppressed as fat or none.
        shift_ppm: of the resonance against water.
    """

    index: int
    tissue: Tissue
    shift_ppm: float


def spin_groups(names: Sequence[str]) -> tuple[SpinGroup, ...]:
    """The groups of tissues of these names, in their order.

    Raises:
        ProtocolError: a name that the tissue table does not have.
    """
    return tuple(group for index, name in enumerate(names) for group in _groups(index, tissue(name)))


def _groups(index: int, whole: Tissue) -> list[SpinGroup]:
    fat_share = whole.fat_like_fraction
    if fat_share in (0.0, 1.0):
        return [SpinGroup(index, whole, whole.chemical_shift_ppm)]
    return [
        SpinGroup(index, _part(whole, 1 - fat_share, fat_like=0.0), whole.chemical_shift_ppm),
        SpinGroup(index, _part(whole, fat_share, fat_like=1.0), -FAT_WATER_PPM),
    ]


def _part(whole: Tissue, share: float, fat_like: float) -> Tissue:
    density = replace(whole.pd, value=whole.pd.value * share, low=whole.pd.low * share, high=whole.pd.high * share)
    return replace(whole, pd=density, fat_like_fraction=fat_like)
