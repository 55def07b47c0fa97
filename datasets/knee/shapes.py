"""The drawn outlines and sections that come with the package."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.knee.outlines import corners_of

Real = NDArray[np.float64]


@lru_cache(maxsize=3)
def drawing(name: str) -> dict[str, Any]:
    """One of the tables of this folder: bones, envelope or muscles."""
    return tomllib.loads(files("knerve.datasets.knee").joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def outlines(table: str, shape: str) -> dict[float, Real]:
    """Corners (corner, 2) of a shape by height z."""
    return {float(z): corners_of(corners) for z, corners in drawing(table)[shape].items()}
