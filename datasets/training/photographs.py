"""Photographs as objects: natural structure of a kind that nobody has to draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Float32 = NDArray[np.float32]
SUFFIXES = (".png", ".jpg", ".jpeg")


def photographs(folder: Path | None) -> list[Path]:
    """The pictures of a folder, sorted by name; none without a folder."""
    if folder is None:
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def photograph(path: Path, shape: tuple[int, int], random: np.random.Generator) -> Float32:
    """A random part (y, x) of a photograph as grey values 0 to 1, perhaps turned and enlarged, inverted or with more contrast."""
    picture = Image.open(path).convert("RGB")
    enlarged = max(random.uniform(0.8, 1.3), shape[0] / picture.height, shape[1] / picture.width)
    turned = random.random() < 0.5
    if turned:
        enlarged = max(enlarged, shape[1] / picture.height, shape[0] / picture.width)
    size = (round(picture.width * enlarged + 1), round(picture.height * enlarged + 1))
    colours = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.float32) / 255
    grey = colours @ random.dirichlet((1, 1, 1)).astype(np.float32)
    grey = grey.T if turned else grey
    top, left = (int(random.integers(0, have - want + 1)) for have, want in zip(grey.shape, shape, strict=True))
    part = np.clip(grey[top : top + shape[0], left : left + shape[1]], 0, 1)
    part = part[:, ::-1] if random.random() < 0.5 else part
    part = 1 - part if random.random() < 0.3 else part
    return np.asarray(part ** np.exp(random.uniform(-0.5, 1.0)), np.float32)
