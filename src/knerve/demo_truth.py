"""What a simulated scan should have shown: the truth that lies beside its raw file, and how far an image is from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from knerve.datasets.scan_plane import ScanPlane

Images = NDArray[np.float32]
Real = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class NerveTruth:
    """One nerve.

    Attributes:
        diameter_mm: of the nerve.
        share: (slice, y, x), its part of each pixel of the slice.
        target_mm: where a needle would go, in patient coordinates (LPS).
    """

    diameter_mm: float
    share: Images
    target_mm: Real


@dataclass(frozen=True)
class Truth:
    """A scan without noise and with every line.

    Attributes:
        image: (slice, y, x) in SNR units, as the reconstructions are.
        inside: (slice, y, x), the leg.
        planes: of all slices.
        pixel_mm: (dx, dy).
        nerves: by name.
        arteries: (slice, y, x), in the middle of each slice.
        veins: the same.
    """

    image: Images
    inside: Mask
    planes: tuple[ScanPlane, ...]
    pixel_mm: tuple[float, float]
    nerves: Mapping[str, NerveTruth]
    arteries: Mask
    veins: Mask


def read_truth(path: Path, targets_mm: Mapping[str, Real], pixel_mm: tuple[float, float]) -> Truth:
    """The truth of a simulated scan, with those nerves whose targets are given."""
    with h5py.File(path) as file:
        vectors = (file[f"slices/{name}"][...].tolist() for name in ("centre_mm", "read", "phase", "normal"))
        return Truth(
            image=file["image/snr"][...],
            inside=file["labels"][...] > 0,
            planes=tuple(ScanPlane(*map(tuple, of_slice)) for of_slice in zip(*vectors, strict=True)),
            pixel_mm=pixel_mm,
            nerves={name: _nerve(file[f"nerves/{name}"], target) for name, target in targets_mm.items()},
            arteries=_structures(file["structures"], "artery"),
            veins=_structures(file["structures"], "vein"),
        )


def _structures(labels: h5py.Dataset, word: str) -> Mask:
    """Where the parts are that have this word in their names."""
    numbers = [number for number, name in enumerate(labels.attrs["names"]) if word in name]
    return np.isin(labels[...], numbers)


def _nerve(group: h5py.Group, target_mm: Real) -> NerveTruth:
    share = group["mask"][...].astype(np.float32) / np.float32(group["mask"].attrs["steps"])
    return NerveTruth(float(group.attrs["diameter_mm"]), share, target_mm)


def nrmse(images: Images, truth: Truth) -> float:
    """Root mean square difference over the truth's root mean square, in the leg of all slices; no scale is fitted."""
    difference = (images - truth.image)[truth.inside]
    return float(np.linalg.norm(difference) / np.linalg.norm(truth.image[truth.inside]))
