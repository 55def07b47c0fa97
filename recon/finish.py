"""The last step: from the solver's arrays to images as a viewer expects them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from knerve.recon.partial_fourier import homodyne, homodyne_noise, partial_fourier_fraction
from knerve.recon.readout import n_columns
from knerve.recon.resampling import resample, resample_linear
from knerve.recon.scan import RawScan


def finish_image(image: Tensor, strength: Tensor, scan: RawScan) -> Tensor:
    """Combine map sets, complete an asymmetric echo, and interpolate to the reconSpace grid in SNR units.

    Args:
        image: (slice, x, set, [z,] y), noise of a fully sampled pixel E|n|² = 1.
        strength: norm of the sensitivities, same shape. On the object's rim they fade, and the image times that norm is what
            the coils saw; the image alone would be amplified noise there.
        scan: the scan that the image came from, for its grid.

    Returns:
        The image (slice, [z,] y, x), noise of unit standard deviation per real part.
    """
    image = _combine_sets(image * strength)
    first, last = scan.sampled_kx
    if _is_asymmetric(scan):
        image = homodyne(image, first, last, scan.grid.encoded_matrix[0], dim=1)
    for dim, fov, axis in _axes(image, scan):
        image = resample(image, dim, fov, scan.grid.recon_matrix[axis], scan.grid.recon_fov_mm[axis])
    return (math.sqrt(2) * image.movedim(1, -1)).contiguous()


def finish_noise(noise_map: Tensor, image: Tensor, strength: Tensor, scan: RawScan) -> Tensor:
    """The noise map (slice, [z,] y, x) of what `finish_image` makes of an image.

    Args:
        noise_map: noise standard deviation, shaped as the image.
        image: as it went into `finish_image`.
        strength: the same.
        scan: the same.
    """
    power = (image * strength).abs().square()
    noise_map = ((power * (noise_map * strength).square()).sum(2) / power.sum(2).clamp(min=1e-30)).sqrt()
    first, last = scan.sampled_kx
    if _is_asymmetric(scan):
        noise_map = noise_map * homodyne_noise(first, last, scan.grid.encoded_matrix[0])
    for dim, fov, axis in _axes(noise_map, scan):
        new_size, new_fov = scan.grid.recon_matrix[axis], scan.grid.recon_fov_mm[axis]
        # a coarser grid leaves frequencies and their noise out
        kept = min(1.0, (new_size / new_fov) / (noise_map.shape[dim] / fov))
        noise_map = math.sqrt(kept) * resample_linear(noise_map, dim, fov, new_size, new_fov)
    return noise_map.movedim(1, -1).contiguous()


def finish_map(values: Tensor, scan: RawScan) -> Tensor:
    """Any real map (slice, x, [z,] y) on the reconSpace grid, (slice, [z,] y, x), by linear interpolation.

    Args:
        values: float32.
        scan: the scan that it belongs to, for its grid.
    """
    for dim, fov, axis in _axes(values, scan):
        values = resample_linear(values, dim, fov, scan.grid.recon_matrix[axis], scan.grid.recon_fov_mm[axis])
    return values.movedim(1, -1).contiguous()


def _is_asymmetric(scan: RawScan) -> bool:
    first, last = scan.sampled_kx
    acquired = torch.zeros(scan.grid.encoded_matrix[0], dtype=torch.bool)
    acquired[first:last] = True
    return partial_fourier_fraction(acquired) < 1


def _axes(image: Tensor, scan: RawScan) -> list[tuple[int, float, int]]:
    """Dimension of `image (slice, x, [z,] y)`, its field of view in mm and the grid's axis for each axis in space."""
    columns_fov = scan.grid.encoded_fov_mm[0] * n_columns(scan) / scan.grid.encoded_matrix[0]
    axes = [(1, columns_fov, 0), (image.ndim - 1, scan.grid.encoded_fov_mm[1], 1)]
    if image.ndim == 4:
        axes.append((2, scan.grid.encoded_fov_mm[2], 2))
    return axes


def _combine_sets(image: Tensor) -> Tensor:
    """One image from the map sets: their root sum of squares with the phase of the stronger; (slice, x, [z,] y)."""
    if image.shape[2] == 1:
        return image[:, :, 0]
    magnitude = image.abs()
    strongest = magnitude.argmax(dim=2, keepdim=True)
    lead = image.gather(2, strongest)[:, :, 0]
    return torch.polar(magnitude.square().sum(2).sqrt(), lead.angle())
