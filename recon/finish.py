"""The last step: from the solver's arrays to images as a viewer expects them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from knerve.recon.partial_fourier import homodyne, homodyne_noise, partial_fourier_fraction
from knerve.recon.readout import n_columns
from knerve.recon.resampling import resample, resample_linear
from knerve.recon.scan import RawScan


def finish(image: Tensor, noise_map: Tensor | None, strength: Tensor, scan: RawScan) -> tuple[Tensor, Tensor | None]:
    """Combine map sets, complete an asymmetric echo, and interpolate to the reconSpace grid in SNR units.

    Args:
        image: (slice, x, set, [z,] y), noise of a fully sampled pixel E|n|² = 1.
        noise_map: noise standard deviation, same shape, or None.
        strength: norm of the sensitivities, same shape. On the object's rim they fade, and the image times that norm is what
            the coils saw; the image alone would be amplified noise there.
        scan: the scan that the image came from, for its grid.

    Returns:
        The image (slice, [z,] y, x), noise of unit standard deviation per real part, and its noise map.
    """
    image = image * strength
    if noise_map is not None:
        noise_map = noise_map * strength
        power = image.abs().square()
        noise_map = ((power * noise_map.square()).sum(2) / power.sum(2).clamp(min=1e-30)).sqrt()
    image = _combine_sets(image)
    n_kx = scan.grid.encoded_matrix[0]
    first, last = scan.sampled_kx
    acquired = torch.zeros(n_kx, dtype=torch.bool)
    acquired[first:last] = True
    if partial_fourier_fraction(acquired) < 1:
        image = homodyne(image, first, last, n_kx, dim=1)
        noise_map = None if noise_map is None else noise_map * homodyne_noise(first, last, n_kx)
    columns_fov = scan.grid.encoded_fov_mm[0] * n_columns(scan) / n_kx
    axes = [(1, columns_fov, 0), (image.ndim - 1, scan.grid.encoded_fov_mm[1], 1)]
    if image.ndim == 4:
        axes.append((2, scan.grid.encoded_fov_mm[2], 2))
    for dim, fov, axis in axes:
        new_size, new_fov = scan.grid.recon_matrix[axis], scan.grid.recon_fov_mm[axis]
        if noise_map is not None:
            kept = min(
                1.0, (new_size / new_fov) / (image.shape[dim] / fov)
            )  # a coarser grid leaves frequencies and their noise out
            noise_map = math.sqrt(kept) * resample_linear(noise_map, dim, fov, new_size, new_fov)
        image = resample(image, dim, fov, new_size, new_fov)
    image = math.sqrt(2) * image.movedim(1, -1)
    return image.contiguous(), None if noise_map is None else noise_map.movedim(1, -1).contiguous()


def _combine_sets(image: Tensor) -> Tensor:
    """One image from the map sets: their root sum of squares with the phase of the stronger; (slice, x, [z,] y)."""
    if image.shape[2] == 1:
        return image[:, :, 0]
    magnitude = image.abs()
    strongest = magnitude.argmax(dim=2, keepdim=True)
    lead = image.gather(2, strongest)[:, :, 0]
    return torch.polar(magnitude.square().sum(2).sqrt(), lead.angle())
