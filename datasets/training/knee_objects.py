"""Slices of digital knees as objects: tissues are drawn once and kept, every use has a contrast of its own.

The knees are those of other seeds than any that results are reported on, cut anywhere, in all three orientations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee import Cryoprobe, Depot, Lesion, Needle, Scene, digital_knee
from knerve.datasets.knee.knee import Knee
from knerve.datasets.scan_plane import ScanPlane
from knerve.datasets.slice_weights import SliceProfile
from knerve.datasets.spin_groups import SpinGroup, spin_groups
from knerve.datasets.tissue_images import Band, tissue_images

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]

SLICES_PER_KNEE = 3
FIRST_SEED = 1000  # knees below are for results
GENICULAR = ("superior-medial", "superior-lateral", "inferior-medial", "inferior-lateral")
SCENES = (Needle(), Needle(gauge=18), Depot(), Depot("ethanol"), Cryoprobe(), Lesion())
SCENE_SHARE = 0.25
REACH_PHASE_MM = 95.0
FINEST_MM, COARSEST_MM = 0.28, 0.40  # pixels of the scan
FREE_CONTRAST = 0.25  # share of objects whose tissues have any brightness at all
AXES = {"axial": ((0, 1), 2), "coronal": ((2, 0), 1), "sagittal": ((2, 1), 0)}  # read, phase; normal: patient x, y, z


@dataclass(frozen=True)
class KneeTissues:
    """Shares (group, y, x) of spin groups in a slice, their numbers among `spin_groups`, and the pixel in mm."""

    share: NDArray[np.float16]
    groups: NDArray[np.int64]
    names: tuple[str, ...]
    pixel_mm: float

    def object(self, random: np.random.Generator) -> Float32:
        """A picture (y, x) with a random contrast, not negative."""
        every_group = spin_groups(self.names)
        brightness = _contrast([every_group[i] for i in self.groups], random)
        picture = np.tensordot(brightness, self.share.astype(np.float32), axes=1)
        return np.maximum(picture, 0).astype(np.float32)


def knee_tissues(number: int, folder: Path) -> KneeTissues:
    """Slice `number` of all training slices, drawn now or read from `folder`."""
    path = folder / f"knee-{number:05d}.npz"
    if not path.exists():
        tissues = _drawn(number)
        partial = path.with_suffix(".part.npz")
        np.savez(partial, share=tissues.share, groups=tissues.groups, names=tissues.names, pixel_mm=tissues.pixel_mm)
        partial.replace(path)
        return tissues
    with np.load(path) as stored:
        names = tuple(str(name) for name in stored["names"])
        return KneeTissues(stored["share"], stored["groups"], names, float(stored["pixel_mm"]))


def _drawn(number: int) -> KneeTissues:
    """`SLICES_PER_KNEE` slices are cut from each knee."""
    random = np.random.default_rng([number, 77])
    seed = FIRST_SEED + number // SLICES_PER_KNEE
    scene = None
    if random.random() < SCENE_SHARE:
        what = SCENES[int(random.integers(len(SCENES)))]
        scene = Scene.at_nerve(str(random.choice(GENICULAR)), what)
    side = "left" if random.random() < 0.5 else "right"
    knee = digital_knee(seed, "left" if side == "left" else "right", size=None, scene=scene)
    plane = _plane(knee, scene, random)
    thickness_mm, pixel_mm = random.uniform(1.5, 3.5), random.uniform(FINEST_MM, COARSEST_MM)
    profile = SliceProfile(np.array([-0.5, 0.5]) * thickness_mm, np.array([0.0, 1.0]), 0.0)
    highest = 0.5 / pixel_mm
    band = Band(highest, highest, random.uniform(70, 90), REACH_PHASE_MM)
    groups = spin_groups(knee.tissues)
    images = tissue_images(knee, plane, groups, profile, np.zeros(len(groups)), band)
    share = images.share.numpy().astype(np.float16)
    return KneeTissues(share, images.groups, tuple(knee.tissues), images.pixel_mm[0])


def _plane(knee: Knee, scene: Scene | None, random: np.random.Generator) -> ScanPlane:
    """Through the knee somewhere, often through a nerve's target."""
    orientation = str(random.choice(list(AXES), p=[0.5, 0.3, 0.2]))
    (read_axis, phase_axis), normal_axis = AXES[orientation]
    target = scene.nerve if scene is not None else str(random.choice(GENICULAR))
    centre = np.array(knee.position_mm) + random.normal(0, 4, 3)
    if scene is not None or random.random() < 0.5:
        centre[normal_axis] = knee.landmarks[f"target: {target}"][normal_axis] + random.normal(0, 0.7)
    else:
        centre[normal_axis] += random.uniform(-35, 35)
    read, phase = np.eye(3)[read_axis], np.eye(3)[phase_axis]
    if orientation == "axial" and random.random() < 0.5:
        read, phase = phase, -read
    turn = random.normal(0, 0.12)
    read, phase = math.cos(turn) * read + math.sin(turn) * phase, math.cos(turn) * phase - math.sin(turn) * read
    return ScanPlane(_vector(centre), _vector(read), _vector(phase), _vector(np.cross(read, phase)))


def _contrast(groups: list[SpinGroup], random: np.random.Generator) -> Float32:
    """Brightness (group) of a spin echo with random times and fat suppression, or of nothing physical."""
    if random.random() < FREE_CONTRAST:
        return np.asarray(random.uniform(0, 1, len(groups)) ** 2, np.float32)
    echo_ms, repetition_ms = random.uniform(8, 110), random.uniform(500, 5000)
    inversion_ms = random.uniform(150, 260) if random.random() < 0.25 else None
    fat_left = random.choice([1.0, random.uniform(0.02, 0.3)], p=[0.6, 0.4])
    brightness = []
    for group in groups:
        tissue = group.tissue
        t1, t2, density = (random.uniform(k.low, k.high) for k in (tissue.t1_ms, tissue.t2_ms, tissue.pd))
        recovered = 1 - math.exp(-repetition_ms / t1)
        if inversion_ms is not None:
            recovered = abs(1 - 2 * math.exp(-inversion_ms / t1) + math.exp(-repetition_ms / t1))
        fat = fat_left if tissue.fat_like_fraction == 1 else 1.0
        brightness.append(density * recovered * math.exp(-echo_ms / t2) * fat)
    return np.asarray(brightness, np.float32)


def _vector(values: Real) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
