"""The network as a plain denoiser (`knerve denoise`) on fully sampled slices of digital knees, beside wavelet shrinkage.

    python benchmarks/denoising.py [--knees 4 5] [--signals 4 8 16]

Coronal T2 slices without noise, with white noise added that rises to 1.8 times across the slice; a signal is the mean of the leg
over the mean noise of each real part. NRMSE and SSIM of magnitudes in the leg after one real factor, of the image as it came, of
wavelet shrinkage alone, and denoised as complex and as magnitude image; `correlation`: of what was taken out, between neighbours.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from unittest.mock import patch

import torch
from learned_knees import nerve_slice

from knerve.recon.learned import denoising
from knerve.recon.learned.denoising import denoised, residual_correlation
from knerve.recon.pipeline import reconstruct
from knerve.recon.quality import fitted, nrmse, ssim
from knerve.recon.settings import Settings

STEEPNESS = 1.8
QUIET = 2000.0  # muscle signal over noise: none to be seen
SETTINGS = Settings()


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, nargs="+", default=(4, 5))
    parser.add_argument("--signals", type=float, nargs="+", default=(4.0, 8.0, 16.0))
    arguments = parser.parse_args()
    print(json.dumps([measured(*case) for case in product(arguments.knees, arguments.signals)], indent=1))


def measured(seed: int, signal: float) -> dict[str, object]:
    """All measures of one slice with noise."""
    slice_ = nerve_slice(seed)
    every_line = torch.ones_like(slice_.knee.scan.counts[0])
    truth = reconstruct(
        slice_.knee.with_lines(every_line, QUIET, seed), Settings(method="sense", snr_map="none", map_sets=1)
    ).image[0]
    inside = torch.from_numpy(slice_.inside)
    level = float(truth.abs()[inside].mean()) / signal
    rise = torch.linspace(1, STEEPNESS, len(truth))[:, None].expand(truth.shape)
    noise = (level / float(rise[inside].mean()) * rise).contiguous()
    random = torch.Generator().manual_seed(seed)
    noisy = truth + 2**0.5 * noise * torch.randn(truth.shape, dtype=torch.complex64, generator=random)
    of_complex = denoised(noisy, noise, SETTINGS)
    of_magnitude = denoised(noisy.abs().to(torch.complex64), noise, SETTINGS)
    with patch.object(denoising, "packaged_model", lambda: None):
        wavelets = denoised(noisy, noise, SETTINGS)
    images = {"as it came": noisy, "wavelets": wavelets.image} | {
        "denoised, complex": of_complex.image,
        "denoised, magnitude": of_magnitude.image,
    }
    row: dict[str, object] = {"knee": seed, "signal": signal, "unused": of_complex.unused}
    expected = truth.abs().numpy()
    for name, image in images.items():
        found = fitted(image.abs().numpy(), expected, slice_.inside)
        row[name] = {
            "nrmse": round(nrmse(found, expected, slice_.inside), 4),
            "ssim": round(ssim(found, expected, slice_.inside), 3),
        }
    row["correlation"] = round(residual_correlation(noisy, of_complex.image, noise), 3)
    return row


if __name__ == "__main__":
    main()
