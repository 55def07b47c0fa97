"""Where each nerve is shown, and its contrast: how much its pixels differ from the ring around it.

    pattern    p = image / median of the ring - 1           on the nerve's pixels and half a millimetre around them
    contrast   of the truth: ‖p‖ (root mean square); of a method: its part along the truth's pattern, <p, p_true> / ‖p_true‖
    recovered  <p, p_true> / <p_true, p_true>

The mean of a nerve's pixels would say little: fat is displaced along the readout by half the nerve's width, which leaves one side
of the nerve dark and makes the other bright. The ring's median passes over the vessels beside the nerve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.demo_truth import Images, NerveTruth, Truth

NEAR_TARGET_MM = 8.0  # slices in which a needle would look for the nerve
SEEN = 0.25  # of a pixel: with less of it no pixel shows the nerve
CORE = 0.5  # of the largest share: the nerve's own pixels
AROUND_MM = 0.5  # from those pixels: what fat leaves when it is displaced
RING_MM = (0.6, 1.6)  # from those pixels

Places = tuple[NDArray[np.intp], NDArray[np.intp]]
Real = NDArray[np.float64]


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
    shown = max(near, key=lambda i: _norm(pattern(truth.image[i], nerve.share[i], truth.pixel_mm)))
    return NerveView(shown, middle_of(nerve.share[shown]), float(away_mm[shown]), tuple(near))


def is_seen(share: Images) -> bool:
    """Whether a nerve with this share (y, x) of the pixels fills a good part of one."""
    return bool(share.max() >= SEEN)


def middle_of(share: Images) -> tuple[float, float]:
    """Row and column of the middle of a nerve with this share (y, x) of the pixels."""
    rows, columns = np.nonzero(share >= CORE * share.max())
    weights = share[rows, columns]
    return float(np.average(rows, weights=weights)), float(np.average(columns, weights=weights))


def pattern(image: Images, share: Images, pixel_mm: tuple[float, float]) -> Real:
    """What an image (y, x) shows of a nerve with this share (y, x) of its pixels, relative to the ring around it: (pixel)."""
    nerve, ring = _nerve_and_ring(share, pixel_mm)
    return np.asarray(image[nerve] / np.median(image[ring]) - 1, np.float64)


def contrasts(images: Images, truth: Truth, nerve: NerveTruth, view: NerveView) -> tuple[float, float]:
    """Contrast of a nerve in the slice of its view, and the part of the truth's that is recovered in all slices near the target.

    Args:
        images: (slice, y, x), the truth's own or a method's.
        truth: of the scan.
        nerve: which.
        view: of that nerve.
    """
    found, true = (
        {i: pattern(series[i], nerve.share[i], truth.pixel_mm) for i in view.near} for series in (images, truth.image)
    )
    norm = _norm(true[view.slice])
    here = float(np.mean(found[view.slice] * true[view.slice])) / norm
    return here, sum(float(found[i] @ true[i]) for i in view.near) / sum(float(true[i] @ true[i]) for i in view.near)


def _norm(values: Real) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _distances_mm(truth: Truth, nerve: NerveTruth) -> Real:
    """(slice), from the middle of each slice to the nerve's target, along the normal."""
    centres = np.array([plane.centre_mm for plane in truth.planes])
    return np.asarray(np.abs((centres - nerve.target_mm) @ np.array(truth.planes[0].normal)))


def _nerve_and_ring(share: Images, pixel_mm: tuple[float, float]) -> tuple[Places, Places]:
    """Places (row, column) of the nerve's own pixels with their nearest neighbours, and of the ring around them."""
    core = np.argwhere(share >= CORE * share.max())
    step_mm = np.array(pixel_mm[::-1])
    reach = np.ceil(RING_MM[1] / step_mm).astype(int)
    low, high = np.maximum(core.min(axis=0) - reach, 0), np.minimum(core.max(axis=0) + reach + 1, share.shape)
    rows, columns = (places.ravel() for places in np.mgrid[low[0] : high[0], low[1] : high[1]])
    apart_mm = (np.stack([rows, columns], axis=1)[:, None] - core) * step_mm
    distance_mm = np.hypot(apart_mm[..., 0], apart_mm[..., 1]).min(axis=1)
    own, ring = distance_mm <= AROUND_MM, (distance_mm >= RING_MM[0]) & (distance_mm <= RING_MM[1])
    return (rows[own], columns[own]), (rows[ring], columns[ring])
