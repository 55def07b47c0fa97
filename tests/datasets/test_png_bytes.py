"""PNG as bytes: every pixel kept, the words beside them, and no larger than the usual encoding of what we write."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from knerve.datasets.png_bytes import png_bytes


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 3)])
def test_pixels_and_words_come_back(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(png_bytes(Image.fromarray(values), "what it is, é"))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), values)
        assert picture.info["Description"] == "what it is, é"
    with Image.open(io.BytesIO(png_bytes(Image.fromarray(values)))) as picture:
        assert picture.info == {}


def test_a_noisy_slice_is_no_larger_than_usual() -> None:
    parts = np.random.default_rng(0).normal(0, 4, (2, 200, 200))
    parts[0, 50:150, 50:150] += np.linspace(30, 90, 100)
    picture = Image.fromarray(np.clip(np.hypot(*parts), 0, 255).astype(np.uint8))
    usual = io.BytesIO()
    picture.save(usual, "PNG")
    assert len(png_bytes(picture)) <= 1.03 * len(usual.getvalue())
