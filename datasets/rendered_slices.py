"""Slices of one object that were drawn before: a second protocol that selects the same slices need not draw them again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.anatomy_truth import AnatomyTruth, anatomy_truth
from knerve.datasets.field_displacement import BentField
from knerve.datasets.scan_plane import Anatomy, ScanPlane
from knerve.datasets.slice_stack import ScanGrid
from knerve.datasets.slice_weights import SliceProfile
from knerve.datasets.spin_groups import SpinGroup
from knerve.datasets.tissue_images import Band, TissueImages, tissue_images

Real = NDArray[np.float64]

LARGEST_BYTES = 1 << 30
TRUTHS_KEPT = 128  # slices
SAME_SHIFT_MM = 0.02


@dataclass(frozen=True)
class _Drawn:
    images: TissueImages
    profile: SliceProfile
    shift_mm: Real
    read_mm_per_hz: float | None

    def serves(self, profile: SliceProfile, shift_mm: Real, band: Band, bent: BentField | None) -> bool:
        held = self.images.band
        return (
            held.read >= band.read
            and held.phase >= band.phase
            and held.reach_read_mm >= band.reach_read_mm
            and self.read_mm_per_hz == (None if bent is None else bent.read_mm_per_hz)
            and bool(np.all(np.abs(self.shift_mm - shift_mm) < SAME_SHIFT_MM))
            and self.profile.resembles(profile)
        )


class RenderedSlices:
    """Draws slices of `anatomy` and keeps the latest of them, up to a number of bytes. Threads may draw side by side.

    Attributes:
        anatomy: the object that all slices are of.
        largest_bytes: of what is kept.
    """

    def __init__(self, anatomy: Anatomy, largest_bytes: int = LARGEST_BYTES) -> None:
        self.anatomy = anatomy
        self.largest_bytes = largest_bytes
        self._drawn: OrderedDict[ScanPlane, _Drawn] = OrderedDict()
        self._truths: OrderedDict[tuple[ScanPlane, ScanGrid], tuple[SliceProfile, AnatomyTruth]] = OrderedDict()
        self._lock = Lock()  # around what is kept; drawing takes none

    def slice(
        self,
        plane: ScanPlane,
        groups: Sequence[SpinGroup],
        profile: SliceProfile,
        shift_mm: Real,
        band: Band,
        bent: BentField | None,
    ) -> TissueImages:
        """One slice, drawn where none that is kept serves; arguments as of `tissue_images`."""
        with self._lock:
            kept = self._drawn.get(plane)
            if kept is not None and kept.serves(profile, shift_mm, band, bent):
                self._drawn.move_to_end(plane)
                return kept.images
        images = tissue_images(self.anatomy, plane, groups, profile, shift_mm, band, bent)
        self._keep(plane, _Drawn(images, profile, shift_mm, None if bent is None else bent.read_mm_per_hz))
        return images

    def truth(self, plane: ScanPlane, profile: SliceProfile, grid: ScanGrid) -> AnatomyTruth:
        """Where the object's parts and nerves lie in one slice, found anew where it was not before."""
        with self._lock:
            profile_before, truth = self._truths.pop((plane, grid), (None, None))
        if truth is None or profile_before is None or not profile_before.resembles(profile):
            profile_before, truth = profile, anatomy_truth(self.anatomy, plane, profile, grid)
        with self._lock:
            self._truths[plane, grid] = (profile_before, truth)
            while len(self._truths) > TRUTHS_KEPT:
                self._truths.popitem(last=False)
        return truth

    def _keep(self, plane: ScanPlane, drawn: _Drawn) -> None:
        with self._lock:
            self._drawn[plane] = drawn
            self._drawn.move_to_end(plane)
            while self._drawn and sum(each.images.share.nbytes for each in self._drawn.values()) > self.largest_bytes:
                self._drawn.popitem(last=False)
