"""`knerve denoise` and `knerve recon --maps` through the command line: files in, files out, and words a user can act on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from knerve.datasets.demo_scan import write_demo_scan


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[Path, Path]:
    """A bright square in noise of 2, complex (y, x), and its noise map."""
    random = np.random.default_rng(0)
    image = np.zeros((100, 104), np.complex64)
    image[20:90, 20:80] = 40
    image += 2 * (random.normal(size=image.shape) + 1j * random.normal(size=image.shape))
    paths = tmp_path / "image.npy", tmp_path / "noise.npy"
    np.save(paths[0], image.astype(np.complex64))
    np.save(paths[1], np.full(image.shape, 2.0, np.float32))
    return paths


def pixels(path: Path, name: str = "image_0") -> np.ndarray:
    with h5py.File(path) as file:
        values = file[f"dataset/{name}/data"][:, 0, 0]
    return values["real"] + 1j * values["imag"] if values.dtype.names else values


def test_arrays_become_images_and_a_report(
    arrays: tuple[Path, Path], tmp_path: Path, knerve: Callable[..., Any]
) -> None:
    image, noise = arrays
    run = knerve("denoise", image, "--noise-map", noise, "--out", tmp_path / "out", "--json")
    assert run.code == 0, run.err
    document = json.loads(run.out)
    assert 0.5 < document["moved"]["moved_median"] < 2.0
    assert document["moved"]["moved_99th_percentile"] <= 3.5
    assert "pixels moved by" in document["notes"][-1]
    before, after = np.load(image), pixels(tmp_path / "out/images.h5", "image_1")[0]
    flat = (slice(30, 80), slice(30, 70))
    assert after[flat].std() < 0.5 * before[flat].std()
    assert abs(after[flat].mean() - 40) < 0.5
    assert (tmp_path / "out/png/slice_000.png").is_file()
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "How far each pixel moved" in page


def test_a_stack_a_real_image_and_one_number_for_the_noise(tmp_path: Path, knerve: Callable[..., Any]) -> None:
    stack = 30 + np.random.default_rng(1).normal(size=(2, 100, 96))
    np.save(tmp_path / "stack.npy", stack)
    np.save(tmp_path / "one.npy", np.float64(1.0))
    run = knerve("denoise", tmp_path / "stack.npy", "--noise-map", tmp_path / "one.npy", "--out", tmp_path / "out")
    assert run.code == 0, run.err
    assert "the images are real" in run.err
    assert "was drawn from a fixed seed" in " ".join(run.err.split())
    assert pixels(tmp_path / "out/images.h5").shape == (2, 100, 96)
    with h5py.File(tmp_path / "out/images.h5") as file:
        assert "image_1" not in file["dataset"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "knee.h5"
    write_demo_scan(path, n_slices=1, matrix=(112, 100), n_coils=6, n_calibration=24, acceleration=2)
    return path


def test_images_of_recon_are_denoised_with_the_map_that_they_carry(
    raw: Path, tmp_path: Path, knerve: Callable[..., Any]
) -> None:
    made = knerve("recon", raw, "--method", "sense", "--maps", "--complex", "--out", tmp_path / "sense")
    assert made.code == 0, made.err
    run = knerve("denoise", tmp_path / "sense/images.h5", "--out", tmp_path / "out")
    assert run.code == 0, run.err
    assert pixels(tmp_path / "out/images.h5").shape == pixels(tmp_path / "sense/images.h5").shape
    with h5py.File(tmp_path / "out/images.h5") as out, h5py.File(tmp_path / "sense/images.h5") as sense:
        for name in ("position", "read_dir", "phase_dir", "slice_dir", "field_of_view"):
            np.testing.assert_allclose(
                out["dataset/image_0/header"][name], sense["dataset/image_0/header"][name], atol=1e-5
            )
    same = knerve("denoise", tmp_path / "sense/images.h5", "--out", tmp_path / "sense")
    assert same.code == 1
    assert "is the folder of images.h5, and would be replaced" in same.err
    knerve("recon", raw, "--method", "sense", "--out", tmp_path / "bare", "--format", "mrd")
    refused = knerve("denoise", tmp_path / "bare/images.h5", "--out", tmp_path / "no")
    assert refused.code == 1
    assert "holds no noise map; write it again with `knerve recon --maps`" in refused.err
    assert not (tmp_path / "no").exists()


def test_recon_with_maps(raw: Path, tmp_path: Path, knerve: Callable[..., Any]) -> None:
    run = knerve("recon", raw, "--method", "cs", "--maps", "--out", tmp_path / "cs", "--format", "mrd", "--json")
    assert run.code == 0, run.err
    document = json.loads(run.out)
    assert document["trust"]["verdict"].startswith("Held-out lines (cs against sense)")
    assert "response" in document["trust"]["seconds"]
    assert not any("response" in stage for stage in document["seconds"])
    with h5py.File(tmp_path / "cs/images.h5") as file:
        assert len(file["dataset"]) == 1 + 8
    refused = knerve("denoise", tmp_path / "cs/images.h5", "--out", tmp_path / "no")
    assert refused.code == 1
    assert "was reconstructed by cs, which has taken out noise already" in refused.err


@pytest.mark.parametrize(
    ("image", "noise", "words"),
    [
        (np.ones((100, 100)), None, "has no noise map; give one with --noise-map"),
        (np.ones((100, 100)), np.ones((100, 99)), "has the shape (100, 99); images of shape (1, 100, 100) need"),
        (np.ones((100, 100)), np.ones((100, 100), complex), "is complex; a noise map holds real"),
        (np.full((100, 100), np.nan), np.ones((100, 100)), "the image holds 10000 values that are not finite"),
        (np.ones((100, 100)), -np.ones((100, 100)), "negative values, down to -1"),
        (np.ones((100,)), np.ones((100,)), "has the shape (100,); expected (y, x) or (slice, y, x)"),
        (np.array(["a"]), np.ones((1,)), "does not hold one array of numbers"),
    ],
)
def test_what_is_refused_in_one_line(
    image: np.ndarray, noise: np.ndarray | None, words: str, tmp_path: Path, knerve: Callable[..., Any]
) -> None:
    np.save(tmp_path / "image.npy", image)
    options: list[str | Path] = []
    if noise is not None:
        np.save(tmp_path / "noise.npy", noise)
        options = ["--noise-map", tmp_path / "noise.npy"]
    run = knerve("denoise", tmp_path / "image.npy", "--out", tmp_path / "out", *options)
    assert run.code == 1
    assert words in run.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("image.png", b"", "neither an images.h5 of knerve nor a .npy array"),
        ("image.npy", b"nonsense", "is not a readable NumPy array"),
        ("images.h5", b"nonsense", "is not an images.h5 that knerve wrote"),
        ("missing.npy", None, "is not a readable NumPy array"),
    ],
)
def test_files_of_other_kinds(
    name: str, content: bytes | None, words: str, tmp_path: Path, knerve: Callable[..., Any]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    run = knerve("denoise", tmp_path / name, "--out", tmp_path / "out")
    assert run.code == 1
    assert words in run.err
