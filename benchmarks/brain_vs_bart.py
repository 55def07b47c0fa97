"""Retrospectively undersampled brain (7 coils, 256 x 216): knerve with its defaults against BART at its best weight.

    python benchmarks/brain_vs_bart.py ../shared/data/brain_7ch_moco/brain_slice.npz

Both get the same whitened k-space (noise covariance from the corners of the full k-space, handed to knerve as noise readouts)
and find their own sensitivities in the same 24 central lines. The reference is the full data, combined with the sensitivities
that BART finds in them. Error: NRMSE of magnitudes inside the object after one real scale factor, as the reference is noisy
no method reaches zero.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from bart_cli import bart, bart_path
from numpy.typing import NDArray
from scipy import ndimage

from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import Frame, Grid, Noise, RawScan
from knerve.recon.settings import Settings

N_CALIBRATION = 24
WAVELET_WEIGHTS = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.007, 0.01)
TV_WEIGHTS = (0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.007, 0.01)


def main() -> None:
    """Print one JSON document: errors of every method at R = 2, 3, 4."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="undersampling patterns per acceleration")
    arguments = parser.parse_args()
    if bart_path() is None:
        sys.exit("bart is not installed; on Debian: apt-get install bart")
    kspace, noise = whitened_brain(arguments.data)
    full_maps = bart(["ecalib", "-m", "1", "-r", str(N_CALIBRATION)], to_bart(kspace)).squeeze()
    coil_images = to_bart(centred_ifft(kspace))[:, :, 0, :]
    reference = np.abs((full_maps.conj() * coil_images).sum(-1)).T  # (ky, x)
    inside = object_mask(np.sqrt((np.abs(coil_images) ** 2).sum(-1)).T)
    rows = []
    for acceleration in (2, 3, 4):
        for seed in range(arguments.seeds):
            mask = variable_density_mask(kspace.shape[1], acceleration, seed)
            rows.append(
                compare(kspace * mask[None, :, None], mask, noise, reference, inside)
                | {"R": acceleration, "seed": seed}
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1))


def compare(
    kspace: NDArray[np.complex64],
    mask: NDArray[np.bool_],
    noise: NDArray[np.complex64],
    reference: NDArray[np.float32],
    inside: NDArray[np.bool_],
) -> dict[str, object]:
    """Errors of BART's wavelet and TV reconstructions at their best weights, and of knerve's methods."""
    data = to_bart(kspace)
    maps = bart(["ecalib", "-m", "1", "-r", str(N_CALIBRATION)], data)
    result: dict[str, object] = {}
    for name, letter, weights in (("bart_wavelet", "W", WAVELET_WEIGHTS), ("bart_tv", "T", TV_WEIGHTS)):
        found = {w: nrmse(run_pics(letter, w, data, maps), reference, inside) for w in weights}
        best = min(found, key=lambda w: found[w])
        result[name] = round(found[best], 4)
        result[name + "_weight"] = best
    n_y, n_x = mask.size, kspace.shape[-1]
    scan = RawScan(
        kspace=torch.from_numpy(kspace)[None],
        counts=torch.from_numpy(mask.astype(np.int32))[None],
        frames=(Frame(),),
        grid=Grid((n_x, n_y, 1), (n_x, n_y, 5.0), (n_x, n_y, 1), (n_x, n_y, 5.0)),
        sampled_kx=(0, n_x),
        noise=Noise(torch.from_numpy(noise)),
    )
    for method in ("zero-filled", "sense", "cs"):
        start = time.perf_counter()
        images = reconstruct(scan, Settings(method=method, snr_map="none"))
        result[method] = round(nrmse(images.image[0].numpy(), reference, inside), 4)
        result[method + "_seconds"] = round(time.perf_counter() - start, 2)
    return result


def run_pics(
    letter: str, weight: float, data: NDArray[np.complex64], maps: NDArray[np.complex64]
) -> NDArray[np.complex64]:
    """BART's `pics` with 100 iterations; (ky, x)."""
    return bart(["pics", "-S", "-i", "100", "-R", f"{letter}:3:0:{weight}"], data, maps).squeeze().T


def whitened_brain(path: Path) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """k-space (coil, ky, kx) whitened with the covariance of its corners, and those corner samples, whitened too."""
    images = np.load(path)["arr_0"].transpose(2, 0, 1)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    corners = np.concatenate(
        [kspace[:, y, x].reshape(7, -1) for y in (slice(16), slice(-16, None)) for x in (slice(16), slice(-16, None))],
        1,
    )
    inverse_root = np.linalg.inv(np.linalg.cholesky(corners @ corners.conj().T / corners.shape[1]))
    whitened = np.tensordot(inverse_root, kspace, 1).astype(np.complex64)
    return whitened, (inverse_root @ corners).astype(np.complex64)


def variable_density_mask(n: int, acceleration: float, seed: int) -> NDArray[np.bool_]:
    """Random lines, density falling quadratically to a tenth at the edge, with the centre full and an exact count."""
    generator = np.random.default_rng(seed)
    distance = np.abs(np.arange(n) - n // 2) / (n / 2)
    mask = np.zeros(n, bool)
    mask[n // 2 - N_CALIBRATION // 2 : n // 2 + N_CALIBRATION // 2] = True
    keys = np.log(0.1 + 0.9 * (1 - distance) ** 2) + generator.gumbel(size=n)
    keys[mask] = -np.inf
    mask[np.argsort(-keys)[: round(n / acceleration) - N_CALIBRATION]] = True
    return mask


def object_mask(magnitude: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The head without its surroundings."""
    bright = magnitude > 0.08 * np.percentile(magnitude, 99.5)
    return ndimage.binary_fill_holes(ndimage.binary_opening(bright, iterations=2))


def nrmse(image: NDArray[np.complex64], reference: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Error of the magnitude over the reference, inside the object, after one real scale factor."""
    found, expected = np.abs(image[inside]), reference[inside]
    scale = (found * expected).sum() / (found**2).sum()
    return float(np.linalg.norm(scale * found - expected) / np.linalg.norm(expected))


def centred_ifft(kspace: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Orthonormal inverse transform over the last two axes."""
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(1, 2)), norm="ortho"), axes=(1, 2)).astype(
        np.complex64
    )


def to_bart(values: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """(coil, ky, kx) to BART's (read, phase 1, phase 2, coil)."""
    return values.transpose(2, 1, 0)[:, :, None, :]


if __name__ == "__main__":
    main()
