"""PNG pictures: one window for the series, square pixels, and a contact sheet that says research use."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from knerve.datasets.display_window import to_grey, window_in_words, window_top
from knerve.datasets.plane_series import plane_series
from knerve.datasets.png import contact_sheet, evenly_chosen, square_picture, write_png
from knerve.recon.images import RESEARCH_USE, ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader


def _series(values: np.ndarray, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> ImageSeries:
    ny, nx = values.shape[-2:]
    nz = values.shape[1] if values.ndim == 4 else 1
    fov = (nx * spacing_mm[0], ny * spacing_mm[1], 3.0)
    return ImageSeries(
        image=torch.tensor(values, dtype=torch.complex64),
        frames=tuple(Frame(slice=index) for index in range(len(values))),
        grid=Grid((nx, ny, nz), fov, (nx, ny, nz), fov),
        header=ScanHeader(),
        method="cs",
        noise=NoiseReport("noise readouts", 100, (1.0,), 0.1),
        acceleration=1.0,
    )


def _ramp(n_slices: int, ny: int = 40, nx: int = 30) -> np.ndarray:
    return np.linspace(0, 1, n_slices * ny * nx).reshape(n_slices, ny, nx)


def test_all_slices_share_one_window(tmp_path: Path) -> None:
    written = write_png(plane_series(_series(_ramp(3))), tmp_path / "png")
    assert [path.name for path in written] == ["slice_000.png", "slice_001.png", "slice_002.png", "contact_sheet.png"]
    grey = np.stack([np.asarray(Image.open(path)) for path in written[:3]])
    assert grey.dtype == np.uint8
    np.testing.assert_allclose(grey / 255, np.clip(_ramp(3) / 0.995, 0, 1), atol=0.003)


def test_partitions_are_slices(tmp_path: Path) -> None:
    written = write_png(plane_series(_series(_ramp(6).reshape(2, 3, 40, 30))), tmp_path / "png")
    assert len(written) == 7
    assert np.asarray(Image.open(written[4])).mean() == pytest.approx(255 * 4.5 / 6, abs=2)


@pytest.mark.parametrize(
    ("spacing_mm", "size"), [((0.5, 1.0), (30, 80)), ((1.0, 0.5), (60, 40)), ((0.5, 0.501), (30, 40))]
)
def test_pixels_become_square(spacing_mm: tuple[float, float], size: tuple[int, int]) -> None:
    assert square_picture(np.zeros((40, 30), np.uint8), spacing_mm).size == size


def test_pictures_say_what_they_are(tmp_path: Path) -> None:
    for path in write_png(plane_series(_series(_ramp(2))), tmp_path / "png"):
        with Image.open(path) as picture:
            description = str(picture.info["Description"])
        assert description.startswith(RESEARCH_USE)
        assert "window 0 to 0.995 in SNR units (99.5th percentile" in description


def test_contact_sheet_shows_every_slice_with_a_caption() -> None:
    pictures = [Image.fromarray(np.full((300, 300), 40 * (index + 1), np.uint8)) for index in range(5)]
    sheet = np.asarray(contact_sheet(pictures, "caption"))
    assert all((sheet == 40 * (index + 1)).sum() > 0.9 * 300 * 300 for index in range(5))
    assert sheet[-20:].max() > 100
    assert sheet[-20:].mean() < 30


def test_contact_sheet_of_many_slices_stays_small() -> None:
    pictures = [Image.fromarray(np.full((64, 200), 90, np.uint8)) for _ in range(500)]
    sheet = contact_sheet(pictures, "a long caption " * 40)
    assert sheet.width <= 1610
    assert sheet.height <= 1610


def test_evenly_chosen() -> None:
    assert evenly_chosen(3, 5) == [0, 1, 2]
    assert evenly_chosen(100, 3) == [0, 50, 99]
    assert len(set(evenly_chosen(65, 64))) == 64


def test_window_ignores_few_bright_pixels() -> None:
    values = np.ones((1, 100, 100), np.float32)
    values[0, 0, :10] = 1e6
    assert window_top(values) == 1.0
    assert window_in_words(12.34567) == "window 0 to 12.35 in SNR units (99.5th percentile of the series)"


def test_window_of_dark_images() -> None:
    assert window_top(np.zeros((1, 4, 4), np.float32)) == 1.0
    lonely = np.zeros((1, 100, 100), np.float32)
    lonely[0, 5, 5] = 7.0
    assert window_top(lonely) == 7.0
    assert to_grey(lonely, 7.0).max() == 255
