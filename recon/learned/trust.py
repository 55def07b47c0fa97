"""What keeps a learned image honest: a bound around the linear solution, and how well it explains the data.

    x_out = x_lin + clip(x - x_lin, 3.5 σ(r))      σ: of the noise in each real part of x_lin
    χ² = mean over sampled lines of |A x - y|²     1 for the truth, in whitened data; also of every line by itself

No structure that the data contradict by more than the bound can be made or removed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.hybrid import HybridScan
from knerve.recon.transform_length import own_lines

BOUND = 3.5  # noise standard deviations
CHI_SQUARE = (0.85, 1.08)  # of all samples
LINE_CHI_SQUARE = 1.3  # of any one line
NO_WORSE = 1.05  # than compressed sensing: imperfect sensitivities spoil both alike,
NO_LOWER = 0.8  # and where few coils see every line, both follow the noise


def bounded(image: Tensor, linear: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The image with every pixel kept near the linear solution, and where it had to be (bool).

    Args:
        image: complex, any shape.
        linear: same shape.
        noise: standard deviation of the complex noise in `linear`, broadcasts to that shape.
    """
    limit = BOUND * noise / 2**0.5
    difference = image - linear
    size = difference.abs()
    clipped = size > limit
    inside = linear + difference * (limit / size.clamp(min=1e-30))
    return torch.where(clipped, inside, image), clipped


@dataclass(frozen=True)
class DataFit:
    """χ² per sample of one slice: over all sampled lines, and of the line where it is largest."""

    overall: float
    largest_line: float

    @property
    def is_good(self) -> bool:
        """Whether nothing can be said against the image."""
        low, high = CHI_SQUARE
        return low <= self.overall <= high and self.largest_line <= LINE_CHI_SQUARE


def data_fit(encoding: CartesianEncoding, scan: HybridScan, image: Tensor) -> list[DataFit]:
    """How well images (slice, x, set, y) explain the data they came from.

    Args:
        encoding: A, of 2-D slices.
        scan: the data, as they went into Aᴴ y.
        image: of all slices.
    """
    return [
        DataFit(float(line[chosen].mean()), float(line[chosen].max()))
        for line, chosen in zip(*line_chi_square(encoding, scan, image), strict=True)
    ]


def line_chi_square(encoding: CartesianEncoding, scan: HybridScan, image: Tensor) -> tuple[Tensor, Tensor]:
    """χ² per sample of every line of the scan's own, (slice, line) float32, and which were sampled (bool).

    Args:
        encoding: A, of 2-D slices.
        scan: the data, as they went into Aᴴ y.
        image: (slice, x, set, y).
    """
    residual = encoding.forward(image) - encoding.weights * scan.kspace
    own = own_lines(residual.shape[-1], encoding.added_lines)
    # virtual coils that a slice does not use hold neither signal nor noise
    n_coils = (scan.kspace != 0).any(-1).sum(2, keepdim=True)[..., None].clamp(min=1)
    power = residual.abs().square().sum(2, keepdim=True) / n_coils
    return power.mean(1)[:, 0, own], encoding.counts[:, own] > 0


def complaint(learned: DataFit, classical: DataFit) -> str | None:
    """Why a learned image must not be trusted; None where there is no reason.

    Args:
        learned: of that image.
        classical: of compressed sensing on the same data.
    """
    low, high = CHI_SQUARE
    if learned.overall < min(low, classical.overall * NO_LOWER):
        return f"it follows the noise (chi-square {learned.overall:.3g} per sample, at least {low} expected)"
    if learned.overall > max(high, classical.overall * NO_WORSE):
        return f"it contradicts the data (chi-square {learned.overall:.3g} per sample, at most {high} expected)"
    if learned.largest_line > max(LINE_CHI_SQUARE, classical.largest_line * NO_WORSE):
        return f"it contradicts a line of the data (chi-square {learned.largest_line:.3g}, at most {LINE_CHI_SQUARE} expected)"
    return None
