"""Raw files that others wrote, all the way to images: a scanner's, and those of the standard generator."""

from __future__ import annotations

import shutil
import subprocess

import h5py
import numpy as np
import pytest
import torch
from scipy import ndimage

import knerve
from knerve.recon.noise import estimate_whitening
from knerve.recon.settings import Settings

GENERATOR = "ismrmrd_generate_cartesian_shepp_logan"
NO_MAP = {"snr_map": "none"}


@pytest.fixture(scope="module")
def phantom(shared_data):
    """The two-bottle phantom: 14 coils, prospective R = 3, noise scan."""
    return knerve.read(next((shared_data / "phantom_14ch_R3").glob("*.h5")))


def test_noise_of_the_real_scan_becomes_white(phantom):
    whitening, notes = estimate_whitening(phantom)
    assert whitening.report.source == "noise readouts"
    assert notes == ()
    whitened = whitening.matrix @ phantom.noise.samples * phantom.noise.variance_scale**0.5
    covariance = whitened @ whitened.mH / whitened.shape[1]
    assert float((covariance - torch.eye(14)).abs().max()) < 0.05


@pytest.mark.parametrize("method", ["sense", "cs"])
def test_real_scan_is_unfolded(phantom, method):
    magnitude = knerve.reconstruct(phantom, settings=Settings(method=method, **NO_MAP)).magnitude[0].numpy()
    assert magnitude.shape == (144, 192)
    bottles = ndimage.binary_fill_holes(magnitude > 0.15 * np.percentile(magnitude, 99))
    _, n_objects = ndimage.label(ndimage.binary_erosion(bottles, iterations=3))
    assert n_objects == 2
    outside = ~ndimage.binary_dilation(bottles, iterations=8)
    ghosts = np.sqrt((magnitude[outside] ** 2).mean()) / magnitude[bottles].mean()
    assert ghosts < 0.015  # zero-filled coils show 0.038 there


@pytest.fixture
def generate(tmp_path):
    """Run the generator of ismrmrd-tools; returns the file and its stored truth, object times combined sensitivity."""
    if shutil.which(GENERATOR) is None:
        pytest.skip(f"{GENERATOR} is not installed (Debian package ismrmrd-tools)")

    def run(*options):
        path = tmp_path / "generated.h5"
        subprocess.run([GENERATOR, "-o", str(path), *options], check=True, capture_output=True)
        with h5py.File(path) as file:
            phantom, maps = (_complex(file["dataset"][name][()]) for name in ("phantom", "csm"))
        combined = np.sqrt((np.abs(maps.reshape(-1, *maps.shape[-2:])) ** 2).sum(0))
        return path, np.abs(phantom.reshape(phantom.shape[-2:])) * combined

    return run


def _complex(values):
    return values["real"] + 1j * values["imag"] if values.dtype.names else values


@pytest.mark.parametrize(
    ("options", "n_images"),
    [
        (["-a", "1"], 1),
        (["-a", "2", "-w", "16"], 2),
        (["-a", "2", "-w", "32"], 2),
        (["-a", "4", "-w", "16"], 4),
        (["-a", "4", "-w", "32"], 4),
        (["-r", "3"], 3),
        (["-C"], 1),
        (["-k"], 1),
        (["-O", "2"], 1),
        (["-a", "2", "-w", "32", "-r", "3", "-C", "-k"], 6),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else f"{value} images",
)
def test_generated_files_give_their_truth(options, n_images, generate):
    path, truth = generate(*options)
    images = knerve.reconstruct(knerve.read(path), settings=Settings(**NO_MAP))
    assert images.image.shape == (n_images, 256, 256)
    for magnitude in images.magnitude.numpy():
        assert np.corrcoef(magnitude.ravel(), truth.ravel())[0, 1] > 0.99


def test_without_oversampling_the_headers_half_field_of_view_is_honoured(generate):
    """-O 1 still asks for half the encoded field of view: the image is the middle half of the truth."""
    path, truth = generate("-O", "1")
    images = knerve.reconstruct(knerve.read(path), settings=Settings(**NO_MAP))
    assert images.image.shape == (1, 256, 128)
    assert np.corrcoef(images.magnitude[0].numpy().ravel(), truth[:, 64:192].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("acceleration", [2, 4])
def test_acceleration_without_calibration_falls_back_and_says_so(acceleration, generate):
    path, truth = generate("-a", str(acceleration), "-w", "0")
    images = knerve.reconstruct(knerve.read(path), settings=Settings(**NO_MAP))
    assert images.n_slices == acceleration
    assert "the coils were calibrated on the mean over repetitions, assuming that nothing moved" in " ".join(
        images.notes
    )
    for magnitude in images.magnitude.numpy():
        assert np.corrcoef(magnitude.ravel(), truth.ravel())[0, 1] > (0.99 if acceleration == 2 else 0.93)
