"""Two-bottle phantom, 14 coils, prospective R = 3: what aliasing each method leaves, and how white the noise becomes.

    python benchmarks/phantom_ghosts.py ../shared/data/phantom_14ch_R3/meas_MID00349_FID09273_SNR_R3.h5

Ghosts are counted where nothing should be: root mean square of the magnitude farther than 8 pixels from the bottles, relative to
the mean inside them. `zero-filled, no maps` is the plain root sum of squares of the coils: no sensitivity mask hides anything.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from knerve.datasets.reading import read_raw
from knerve.recon.noise import estimate_whitening
from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    scan = read_raw(parser.parse_args().data)
    magnitudes = {
        method: reconstruct(scan, Settings(method=method, snr_map="none")).magnitude[0].numpy()
        for method in ("zero-filled", "sense", "cs")
    }
    bottles = ndimage.binary_fill_holes(magnitudes["cs"] > 0.15 * np.percentile(magnitudes["cs"], 99))
    outside = ~ndimage.binary_dilation(bottles, iterations=8)
    magnitudes["zero-filled, no maps"] = without_calibration(scan)
    result: dict[str, object] = {"whitening": whiteness(scan)}
    for name, magnitude in magnitudes.items():
        mean = magnitude[bottles].mean()
        result[f"ghosts of {name}, percent"] = round(100 * float(np.sqrt((magnitude[outside] ** 2).mean()) / mean), 3)
    print(json.dumps(result, indent=1))


def without_calibration(scan: RawScan) -> NDArray[np.float32]:
    """Zero-filled, whitened, root sum of squares over the coils."""
    whitening, _ = estimate_whitening(scan)
    kspace = torch.tensordot(whitening.matrix, scan.kspace[0], dims=1).numpy()
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    n_x = scan.grid.recon_matrix[0]
    start = images.shape[-1] // 2 - n_x // 2
    return np.sqrt((np.abs(images[..., start : start + n_x]) ** 2).sum(0)).astype(np.float32)


def whiteness(scan: RawScan) -> dict[str, float]:
    """Largest deviation from identity of the whitened covariance: of the noise itself, and of halves judged by the other half."""
    if scan.noise is None:
        return {}
    samples, scale = scan.noise.samples, scan.noise.variance_scale**0.5

    def deviation(fitted_on: torch.Tensor, applied_to: torch.Tensor) -> float:
        noise = replace(scan.noise, samples=fitted_on) if scan.noise is not None else None
        whitened = scale * estimate_whitening(replace(scan, noise=noise))[0].matrix @ applied_to
        covariance = whitened @ whitened.mH / applied_to.shape[1]
        return round(float((covariance - torch.eye(samples.shape[0])).abs().max()), 4)

    return {"same_samples": deviation(samples, samples), "other_half": deviation(samples[:, ::2], samples[:, 1::2])}


if __name__ == "__main__":
    main()
