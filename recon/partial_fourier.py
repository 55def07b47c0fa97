"""Partial Fourier: one side of k-space was not acquired; a smooth image phase tells what it held.

An image whose phase is known is real up to that phase, and the k-space of a real image is symmetric. The phase comes from the
fully sampled centre. Along the phase encodes it goes into the sensitivities and the solver penalises what remains imaginary;
along the readout (asymmetric echo) the finished image is completed by homodyne weighting.

Methods: phase-constrained reconstruction, Willig-Onwuachi et al. 2005, doi:10.1016/j.jmr.2005.07.004; homodyne, Noll et al. 1991,
doi:10.1109/42.79473.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from knerve.gpu.fourier import to_image, to_kspace
from knerve.recon.calibration import central_box
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.hybrid import HybridScan

FULL_SYMMETRY = 0.85  # shorter side over longer side of the acquired lines; above, k-space counts as symmetric
MIN_PHASE_LINES = 8  # a narrower centre knows no more than the mean phase
IMAGINARY_PENALTY = 1.0  # as strong as one fully sampled line


def partial_fourier_fraction(sampled: Tensor) -> float:
    """Acquired extent along one direction over the symmetric extent, 0.5 to 1; 1 where both sides are alike.

    Args:
        sampled: bool, (k), centre at index n // 2.
    """
    places = torch.nonzero(sampled)[:, 0]
    if places.numel() == 0:
        return 1.0
    centre = sampled.shape[0] // 2
    below, above = centre - int(places[0]), int(places[-1]) - centre + 1
    longer, shorter = max(below, above), min(below, above)
    # a regular pattern may start anywhere within its own gap, and an odd matrix has one more line above
    largest_gap = int(places.diff().max()) if places.numel() > 1 else 1
    symmetric = shorter >= FULL_SYMMETRY * longer or longer - shorter <= largest_gap
    return 1.0 if symmetric else (longer + max(shorter, 0)) / (2 * longer)


def is_partial(mask: Tensor) -> bool:
    """Whether any phase-encode direction of `mask (slice, [kz,] ky)` was acquired on one side only, in every slice."""
    lines = mask.any(0)
    profiles = [lines] if lines.ndim == 1 else [lines.any(1), lines.any(0)]
    return any(partial_fourier_fraction(profile) < 1 for profile in profiles)


def phase_box(mask: Tensor) -> tuple[slice, ...] | None:
    """The fully sampled centre that all slices share, from which the phase is taken; None where it is too narrow."""
    box = central_box(mask)
    wide = all(s.stop - s.start >= min(MIN_PHASE_LINES, n) for s, n in zip(box, mask.shape[1:], strict=True))
    return box if wide else None


def phase_constrained(
    encoding: CartesianEncoding, scan: HybridScan, box: tuple[slice, ...]
) -> tuple[CartesianEncoding, Tensor]:
    """The encoding of a real image: its phase moved into the sensitivities, its imaginary part penalised.

    Args:
        encoding: of complex images.
        scan: whitened data.
        box: fully sampled centre of k-space, from `phase_box`.

    Returns:
        The new encoding and the phase factors, (slice, x, set, [z,] y), that turn its images back.
    """
    phase = _central_phase(encoding, scan, box)
    maps = encoding.maps * phase.unsqueeze(3)
    return replace(encoding, maps=maps, imaginary_penalty=IMAGINARY_PENALTY), phase


def homodyne(image: Tensor, first: int, last: int, width: int, dim: int) -> Tensor:
    """Complete an image of which k-space is filled from `first` to `last - 1` of `width` samples along `dim` only.

    Weights: 2 on samples without a partner across the centre, falling linearly to 0 through the symmetric part.
    """
    n = image.shape[dim]
    # the image may have been cropped: its k-space samples are `width / n` apart in units of the readout's
    place = (torch.arange(n, dtype=torch.float32) - n // 2) * (width / n)
    reach = min(width // 2 - first, last - width // 2)
    ramp = _homodyne_weights(place, first, last, width)
    window = ((1 - (place / max(1, reach)).square()).clamp(min=0)).to(image.device)
    shape = [1] * image.ndim
    shape[dim] = n
    kspace = to_kspace(image, (dim,))
    low = to_image(kspace * window.reshape(shape), (dim,))
    phase = _unit(low)
    weighted = to_image(kspace * ramp.to(image.device).reshape(shape), (dim,))
    return (weighted * phase.conj()).real * phase


def homodyne_noise(first: int, last: int, width: int) -> float:
    """Noise of the magnitude after `homodyne`, over that of a fully sampled complex image."""
    place = torch.arange(first, last, dtype=torch.float32) - width // 2
    return float((_homodyne_weights(place, first, last, width).square().sum() / width).sqrt())


def _homodyne_weights(place: Tensor, first: int, last: int, width: int) -> Tensor:
    """0 to 2, rising through the symmetric part towards the longer side."""
    centre = width // 2
    reach = max(1, min(centre - first, last - centre))
    sign = 1.0 if last - centre > centre - first else -1.0
    return (1 + sign * place / reach).clamp(0, 2)


def _central_phase(encoding: CartesianEncoding, scan: HybridScan, box: tuple[slice, ...]) -> Tensor:
    """Unit phase factors of the image made from the fully sampled centre under a cosine window."""
    window = torch.zeros(scan.counts.shape[1:], device=scan.kspace.device)
    profiles = []
    for side, n in zip(box, window.shape, strict=True):
        half = min(n // 2 - side.start, side.stop - n // 2)
        place = (torch.arange(side.start, side.stop, device=window.device) - n // 2) / max(1, half + 1)
        profiles.append(torch.cos(place.clamp(-1, 1) * (torch.pi / 2)).square())
    product = profiles[0]
    for profile in profiles[1:]:
        product = product[..., None] * profile
    window[box] = product
    coil_images = to_image(scan.kspace * window, encoding.encoded_dims)
    return _unit((encoding.maps.conj() * coil_images.unsqueeze(2)).sum(3))


def _unit(values: Tensor) -> Tensor:
    magnitude = values.abs()
    return torch.where(magnitude > 0, values / magnitude.clamp(min=1e-30), torch.ones_like(values))
