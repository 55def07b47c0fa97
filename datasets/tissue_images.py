"""A slice of an object as the scanner can see it: for each spin group its share of every place, limited to a band of k-space.

The object is drawn at three times the resolution, pixels by covered area, plane by plane through the depth of the slice; one
Fourier transform per group, cut to the band and freed of the averaging over a pixel's area, leads back to a small grid. What
is then scanned holds no frequencies that a raster invented. Around the band that a protocol reads there is a margin: coil
sensitivities mix neighbouring frequencies, and the end of the band falls off smoothly, so that nothing rings far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.datasets.field_displacement import BentField, displaced_readouts
from knerve.datasets.scan_plane import Anatomy, ScanPlane
from knerve.datasets.slice_weights import SUBPLANE_MM, SliceProfile, subplane_weights, subplanes_mm
from knerve.datasets.spin_groups import SpinGroup

Real = NDArray[np.float64]
Index = NDArray[np.int64]

SUPERSAMPLING = 3
COIL_BAND = 0.06  # cycles per mm beyond the band read that stay exact: sensitivities are smoother than this
FALL_OFF = 0.10  # cycles per mm over which the band then ends
GUARD_MM = 12.0  # around the object: tails of that end
PROBE_MM = 2.5  # pitch at which the object is looked for
SMOOTH_FACTORS = (2, 3, 5)


@dataclass(frozen=True)
class Band:
    """The part of k-space that a grid has to hold, and the field of view in which the object is looked for.

    Attributes:
        read: highest frequency along the readout, cycles per mm.
        phase: highest frequency along the phase encodes.
        reach_read_mm: the receiver's filter cuts what lies farther from the centre.
        reach_phase_mm: nothing lies farther; what lies outside the field of view folds in.
    """

    read: float
    phase: float
    reach_read_mm: float
    reach_phase_mm: float


@dataclass(frozen=True)
class TissueImages:
    """Shares of spin groups on a small grid.

    Attributes:
        groups: (present): index of each spin group that is in the slice.
        share: (present, y, x) float32; a pixel's groups add up to 1 inside the object, ringing aside.
        x_mm: (x) along the readout, about the plane's centre.
        y_mm: (y) along the phase encodes.
        band: that is held.
    """

    groups: Index
    share: Tensor
    x_mm: Real
    y_mm: Real
    band: Band

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Along read and phase."""
        return float(self.x_mm[1] - self.x_mm[0]), float(self.y_mm[1] - self.y_mm[0])


@dataclass(frozen=True)
class _Raster:
    """One axis of the fine raster: the grid's first point, pitch and length."""

    first_mm: float
    pixel_mm: float
    n: int

    @property
    def grid_mm(self) -> Real:
        return np.asarray(self.first_mm + self.pixel_mm * np.arange(self.n))

    @property
    def fine_mm(self) -> Real:
        return np.asarray(self.first_mm + self.pixel_mm / SUPERSAMPLING * np.arange(self.n * SUPERSAMPLING))


def tissue_images(
    anatomy: Anatomy,
    plane: ScanPlane,
    groups: Sequence[SpinGroup],
    profile: SliceProfile,
    shift_mm: Real,
    band: Band,
    bent: BentField | None = None,
) -> TissueImages:
    """Draw one slice of an object.

    Args:
        anatomy: the object.
        plane: of the middle of the slice.
        groups: of the object's tissues.
        profile: of the slice.
        shift_mm: (group): displacement of the slice of each group.
        band: to be held.
        bent: a field that displaces what lies in it, of a needle say.
    """
    depths = subplanes_mm(profile.extent_mm + float(np.abs(shift_mm).max()))
    columns, rows = _rasters(anatomy, plane, depths, band)
    fine = _drawn(
        anatomy, plane, groups, columns.fine_mm, rows.fine_mm, depths, subplane_weights(profile, depths, shift_mm)
    )
    if bent:
        _redraw_bent(fine, anatomy, plane, groups, columns.fine_mm, rows.fine_mm, profile, shift_mm, bent)
    present = np.array([i for i, image in enumerate(fine) if image.any()] or [0])  # an empty slice is scanned too
    share = torch.stack([_band_limited(torch.from_numpy(fine[i]), columns, rows, band) for i in present])
    return TissueImages(present, share, columns.grid_mm, rows.grid_mm, band)


def _drawn(
    anatomy: Anatomy,
    plane: ScanPlane,
    groups: Sequence[SpinGroup],
    x_mm: Real,
    y_mm: Real,
    depths: Real,
    weights: Real,
) -> list[NDArray[np.float32]]:
    """(fine y, fine x) of each group: all planes of the slice together. A second resonance is drawn where its tissue is seen."""
    tissue_of = np.array([group.index for group in groups])
    first, others = _passes(groups)
    shape = (len(y_mm), len(x_mm))

    def draw(which: list[int]) -> NDArray[np.float32]:
        fractions = np.zeros((len(anatomy.tissues), *shape), np.float32)
        for depth, of_group in zip(depths, weights[:, which], strict=True):
            if of_group.any():
                of_tissue = np.zeros(len(anatomy.tissues))
                of_tissue[tissue_of[which]] = of_group
                anatomy.add_fractions(fractions, plane.shifted(float(depth)), x_mm, y_mm, of_tissue)
        return fractions

    main = draw(first)
    drawn = {i: main[tissue_of[i]] for i in first}
    seen = [i for i in others if main[tissue_of[i]].any()]
    if seen:
        again = draw(seen)
        drawn |= {i: again[tissue_of[i]] for i in seen}
    return [drawn.get(i, np.zeros(shape, np.float32)) for i in range(len(groups))]


def _passes(groups: Sequence[SpinGroup]) -> tuple[list[int], list[int]]:
    """Indices of the groups that are the first of their tissue, and of those that are its second resonance."""
    tissues = [group.index for group in groups]
    first = [i for i, tissue in enumerate(tissues) if tissue not in tissues[:i]]
    return first, [i for i in range(len(groups)) if i not in first]


def _redraw_bent(
    fine: list[NDArray[np.float32]],
    anatomy: Anatomy,
    plane: ScanPlane,
    groups: Sequence[SpinGroup],
    x_mm: Real,
    y_mm: Real,
    profile: SliceProfile,
    shift_mm: Real,
    bent: BentField,
) -> None:
    """Draw that part of `fine` anew where the field displaces each place along the readout and chooses its depth."""
    depths = subplanes_mm(profile.extent_mm + float(np.abs(shift_mm).max()) + bent.depth_mm)
    columns, rows = bent.window(plane, depths, x_mm, y_mm)
    x_mm, y_mm = x_mm[columns], y_mm[rows]
    if len(x_mm) < 2 or len(y_mm) < 2:
        return
    for image in fine:
        image[rows, columns] = 0
    everything, pixel_mm = np.ones(len(anatomy.tissues)), x_mm[1] - x_mm[0]
    for depth in depths:
        at_depth = plane.shifted(float(depth))
        fractions = np.zeros((len(everything), len(y_mm), len(x_mm)), np.float32)
        anatomy.add_fractions(fractions, at_depth, x_mm, y_mm, everything)
        field_hz = bent.hz(at_depth, x_mm, y_mm)
        for image, group, shift in zip(fine, groups, shift_mm, strict=True):
            if fractions[group.index].any():
                middle = depth - shift - profile.mm_per_hz * field_hz
                weight = profile.between(middle - SUBPLANE_MM / 2, middle + SUBPLANE_MM / 2)
                excited = fractions[group.index] * weight.astype(np.float32)
                image[rows, columns] += displaced_readouts(excited, field_hz * (bent.read_mm_per_hz / pixel_mm))


def _rasters(anatomy: Anatomy, plane: ScanPlane, depths: Real, band: Band) -> tuple[_Raster, _Raster]:
    """Columns and rows of a grid that holds the object, found on a coarse raster."""
    found_x, found_y = [], []
    x_mm, y_mm = _probes(band.reach_read_mm), _probes(band.reach_phase_mm)
    for depth in (depths[0], depths[len(depths) // 2], depths[-1]):
        fractions = np.zeros((len(anatomy.tissues), len(y_mm), len(x_mm)), np.float32)
        anatomy.add_fractions(fractions, plane.shifted(float(depth)), x_mm, y_mm, np.ones(len(fractions)))
        covered = np.abs(fractions).sum(axis=0)
        found_x.append(x_mm[covered.sum(axis=0) > 0])
        found_y.append(y_mm[covered.sum(axis=1) > 0])
    return (
        _raster(np.concatenate(found_x), band.read, band.reach_read_mm),
        _raster(np.concatenate(found_y), band.phase, band.reach_phase_mm),
    )


def _probes(reach_mm: float) -> Real:
    n = math.ceil(reach_mm / PROBE_MM)
    return np.asarray(np.arange(-n, n + 1) * PROBE_MM)


def _raster(found_mm: Real, highest: float, reach_mm: float) -> _Raster:
    pixel_mm = 1 / (2 * (highest + COIL_BAND + FALL_OFF))
    low, high = (float(found_mm.min()), float(found_mm.max())) if len(found_mm) else (0.0, 0.0)
    low, high = max(low - PROBE_MM, -reach_mm) - GUARD_MM, min(high + PROBE_MM, reach_mm) + GUARD_MM
    n = _smooth_size(math.ceil((high - low) / pixel_mm))
    return _Raster((low + high) / 2 - n // 2 * pixel_mm, pixel_mm, n)


def _smooth_size(n: int) -> int:
    """The next even size that is a product of small primes, which transforms fast."""
    n += n % 2
    while True:
        rest = n
        for factor in SMOOTH_FACTORS:
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 2


def _band_limited(image: Tensor, columns: _Raster, rows: _Raster, band: Band) -> Tensor:
    """A fine image (y, x) on the small grid."""
    n_y, n_x = rows.n, columns.n
    spectrum = torch.fft.fft(torch.fft.rfft(image)[:, : n_x // 2 + 1], dim=0)
    spectrum = torch.cat([spectrum[: n_y // 2], spectrum[-n_y // 2 :]])
    keep_y = _kept(torch.fft.fftfreq(n_y, rows.pixel_mm), rows.pixel_mm, band.phase)
    keep_x = _kept(torch.fft.rfftfreq(n_x, columns.pixel_mm), columns.pixel_mm, band.read)
    return torch.fft.irfft2(spectrum * keep_y[:, None] * keep_x / SUPERSAMPLING**2, s=(n_y, n_x))


def _kept(frequency: Tensor, pixel_mm: float, highest: float) -> Tensor:
    """What to multiply each frequency with: 1 over the averaging of a fine pixel, and a smooth end."""
    beyond = ((frequency.abs() - highest - COIL_BAND) / FALL_OFF).clamp(0, 1)
    return torch.cos(beyond * math.pi / 2).square() / torch.sinc(frequency * pixel_mm / SUPERSAMPLING)
