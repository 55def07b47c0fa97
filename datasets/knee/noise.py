"""Seeded textures: periodic cubes of smooth clouds and of cell walls, and clouds on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from knerve.datasets.knee.fields import Grid
from knerve.datasets.knee.sampling import wall_distances

Float32 = NDArray[np.float32]
CLOUD_VOXELS = 64
CLOUD_GRAIN = 4.0  # voxels from a crest of the clouds to the next trough, about
WALL_VOXELS = 128
WALL_CELLS = 8


@dataclass(frozen=True)
class Textures:
    """Periodic cubes.

    Attributes:
        clouds: (64, 64, 64) smooth noise of mean 0 and variance 1.
        walls: (128, 128, 128) distance to the nearest cell wall, in cells.
    """

    clouds: Float32
    walls: Float32


@lru_cache(maxsize=4)
def textures(seed: int) -> Textures:
    """The cubes of a seed."""
    random = np.random.default_rng([seed, 11])
    clouds = gaussian_filter(random.standard_normal((CLOUD_VOXELS,) * 3), CLOUD_GRAIN / 2.4, mode="wrap")
    clouds /= clouds.std()
    walls = np.empty((WALL_VOXELS,) * 3, np.float32)
    steps = np.indices((3, 3, 3)).reshape(3, -1).T - 1
    wall_distances(random.random((WALL_CELLS,) * 3 + (3,)).astype(np.float32), steps, WALL_VOXELS, walls)
    return Textures(clouds.astype(np.float32), walls)


def clouds_on(grid: Grid, clouds: Float32, grain_mm: float, shift: float, flatten: float = 1.0) -> Float32:
    """Clouds (z, y, x) of a grain on a grid; flatten > 1 stretches them along z; shift tells one use from another."""
    scale = CLOUD_GRAIN / grain_mm
    x, y, z = (grid.axis(i) * scale for i in range(3))
    where = np.meshgrid(z / flatten + shift * 7.3, y + shift * 17.1, x + shift * 29.7, indexing="ij")
    return map_coordinates(clouds, where, order=1, mode="grid-wrap", output=np.float32)
