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
    """The slice that shows a nerve best near its target.

    Attributes:
        name: of the nerve.
        diameter_mm: of the nerve.
        slice: its number.
        row: of the nerve's middle in the image as acquired.
        column: the same.
        from_target_mm: distance of the slice to where a needle would go.
        near: numbers of all slices near the target in which the nerve is seen.
    """

    name: str
    diameter_mm: float
    slice: int
    row: float
    column: float
    from_target_mm: float
    near: tuple[int, ...]


def best_views(truth: Truth) -> dict[str, NerveView]:
    """A view of each nerve that the slices hold near its target: where the truth has the largest contrast."""
    views = {}
    for name, nerve in truth.nerves.items():
        away_mm = _distances_mm(truth, nerve)
        near = [i for i in np.flatnonzero(away_mm <= NEAR_TARGET_MM).tolist() if nerve.share[i].max() >= SEEN]
        if near:
            shown = max(near, key=lambda i: abs(contrast(truth.image[i], nerve.share[i], truth.pixel_mm)))
            row, column = _middle(nerve.share[shown])
            views[name] = NerveView(name, nerve.diameter_mm, shown, row, column, float(away_mm[shown]), tuple(near))
    return views


def contrast(image: Images, share: Images, pixel_mm: tuple[float, float]) -> float:
    """Of a nerve with this share (y, x) of the pixels of an image (y, x): 0 where it cannot be told from its surroundings."""
    core, ring = _core_and_ring(share, pixel_mm)
    nerve = float(np.average(image[core], weights=share[core]))
    return nerve / float(np.median(image[ring])) - 1


def recovered(images: Images, truth: Truth, view: NerveView) -> float:
    """Part of the truth's contrast that the images keep, fitted over all slices near the nerve's target."""
    share = truth.nerves[view.name].share
    true = np.array([contrast(truth.image[i], share[i], truth.pixel_mm) for i in view.near])
    found = np.array([contrast(images[i], share[i], truth.pixel_mm) for i in view.near])
    return float(true @ found / (true @ true))


def _distances_mm(truth: Truth, nerve: NerveTruth) -> NDArray[np.float64]:
    """(slice), from the middle of each slice to the nerve's target, along the normal."""
    centres = np.array([plane.centre_mm for plane in truth.planes])
    normal = np.array(truth.planes[0].normal)
    return np.asarray(np.abs((centres - nerve.target_mm) @ normal))


def _middle(share: Images) -> tuple[float, float]:
    """Row and column of the middle of the nerve's own pixels."""
    rows, columns = np.nonzero(share >= CORE * share.max())
    weights = share[rows, columns]
    return float(np.average(rows, weights=weights)), float(np.average(columns, weights=weights))


def _core_and_ring(share: Images, pixel_mm: tuple[float, float]) -> tuple[Places, Places]:
    """Places (row, column) of the nerve's own pixels, and of those around it."""
    core = np.argwhere(share >= CORE * share.max())
    step_mm = np.array(pixel_mm[::-1])
    reach = np.ceil(RING_MM[1] / step_mm).astype(int)
    (top, left), (bottom, right) = np.maximum(core.min(axis=0) - reach, 0), core.max(axis=0) + reach + 1
    rows, columns = (places.ravel() for places in np.mgrid[top : min(bottom, len(share)), left : min(right, share.shape[1])])
    apart = (np.stack([rows, columns], axis=1)[:, None] - core) * step_mm
    distance_mm = np.hypot(apart[..., 0], apart[..., 1]).min(axis=1)
    least, most = RING_MM
    ring = (distance_mm >= least) & (distance_mm <= most) & (share[rows, columns] < FREE_OF_NERVE)
    return (core[:, 0], core[:, 1]), (rows[ring], columns[ring])
