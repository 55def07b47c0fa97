"""Where each nerve is shown best, and its contrast: the nerve against what surrounds it.

    contrast = nerve / ring - 1        nerve: mean over its pixels, weighted with its share of each
                                       ring: median of the pixels around it that hold none of it

Around a nerve lie fat, a dark artery and a vein; fat is displaced by its chemical shift. All of that is in the truth too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.demo_truth import Images, NerveTruth, Truth

NEAR_TARGET_MM = 8.0  # slices in which a needle would look for the nerve
SEEN = 0.25  # of a pixel: with less of it no pixel shows the nerve
CORE = 0.5  # of the largest share: the nerve's own pixels
RING_MM = (0.5, 1.6)  # from those pixels
FREE_OF_NERVE = 0.02  # of a pixel

Places = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class NerveView:
    """Where a nerve is shown.

    Attributes:
        slice: number of the slice near the nerve's target in which the truth has the largest contrast.
        place: row and column of the nerve in that slice, as acquired.
        from_target_mm: distance of that slice to where a needle would go.
        near: numbers of all slices near the target in which the nerve is seen.
    """

    slice: int
    place: tuple[float, float]
    from_target_mm: float
    near: tuple[int, ...]


def best_view(truth: Truth, nerve: NerveTruth) -> NerveView | None:
    """A view of a nerve, None where no slice holds it near its target."""
    away_mm = _distances_mm(truth, nerve)
    near = [i for i in np.flatnonzero(away_mm <= NEAR_TARGET_MM).tolist() if is_seen(nerve.share[i])]
    if not near:
        return None
    shown = max(near, key=lambda i: abs(contrast(truth.image[i], nerve.share[i], truth.pixel_mm)))
    return NerveView(shown, middle_of(nerve.share[shown]), float(away_mm[shown]), tuple(near))


def is_seen(share: Images) -> bool:
    """Whether a nerve with this share (y, x) of the pixels fills a good part of one."""
    return bool(share.max() >= SEEN)


def middle_of(share: Images) -> tuple[float, float]:
    """Row and column of the middle of a nerve with this share (y, x) of the pixels."""
    rows, columns = np.nonzero(share >= CORE * share.max())
    weights = share[rows, columns]
    return float(np.average(rows, weights=weights)), float(np.average(columns, weights=weights))


def contrast(image: Images, share: Images, pixel_mm: tuple[float, float]) -> float:
    """Of a nerve with this share (y, x) of the pixels of an image (y, x); 0 is none, -1 a black nerve."""
    core, ring = _core_and_ring(share, pixel_mm)
    nerve = float(np.average(image[core], weights=share[core]))
    return nerve / float(np.median(image[ring])) - 1


def recovered(images: Images, truth: Truth, nerve: NerveTruth, view: NerveView) -> float:
    """Part of the truth's contrast that images (slice, y, x) keep, fitted over all slices near the nerve's target."""
    true, found = (
        np.array([contrast(series[i], nerve.share[i], truth.pixel_mm) for i in view.near])
        for series in (truth.image, images)
    )
    return float(true @ found / (true @ true))


def _distances_mm(truth: Truth, nerve: NerveTruth) -> NDArray[np.float64]:
    """(slice), from the middle of each slice to the nerve's target, along the normal."""
    centres = np.array([plane.centre_mm for plane in truth.planes])
    normal = np.array(truth.planes[0].normal)
    return np.asarray(np.abs((centres - nerve.target_mm) @ normal))


def _core_and_ring(share: Images, pixel_mm: tuple[float, float]) -> tuple[Places, Places]:
    """Places (row, column) of the nerve's own pixels, and of those around it."""
    core = np.argwhere(share >= CORE * share.max())
    step_mm = np.array(pixel_mm[::-1])
    reach = np.ceil(RING_MM[1] / step_mm).astype(int)
    (top, left), (bottom, right) = np.maximum(core.min(axis=0) - reach, 0), core.max(axis=0) + reach + 1
    rows, columns = (
        places.ravel() for places in np.mgrid[top : min(bottom, len(share)), left : min(right, share.shape[1])]
    )
    apart = (np.stack([rows, columns], axis=1)[:, None] - core) * step_mm
    distance_mm = np.hypot(apart[..., 0], apart[..., 1]).min(axis=1)
    least, most = RING_MM
    ring = (distance_mm >= least) & (distance_mm <= most) & (share[rows, columns] < FREE_OF_NERVE)
    return (core[:, 0], core[:, 1]), (rows[ring], columns[ring])
