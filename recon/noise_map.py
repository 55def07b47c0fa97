"""How much noise the unfolding leaves in each pixel, and so the local signal-to-noise ratio.

    analytic   diagonal of  B M B,  M = Aᴴ A,  B = (M + μ)⁻¹   for every few columns, interpolated between
    replica    standard deviation over reconstructions of the data plus fresh noise

The analytic map is that of the linear SENSE problem, also where compressed sensing made the image: the noise that had to be
dealt with, not what its thresholds left. Replicas measure the method itself. In units of a fully sampled pixel's noise; divided
by √R the analytic map is the g-factor (Pruessmann et al. 1999,
doi:10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S).

Replicas: Robson et al. 2008, doi:10.1002/mrm.21728.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from knerve.gpu.fourier import to_image
from knerve.recon.encoding import CartesianEncoding

COLUMN_SPACING = 20  # the map varies as slowly as the coils: within 4 % of every sixth column (98 % of a knee)
MATRIX_BYTES = 1 << 28  # of dense matrices held at once


def analytic_noise_map(encoding: CartesianEncoding, mu: Tensor) -> Tensor:
    """Noise standard deviation per pixel of the SENSE solution, (slice, x, set, y) float32.

    Args:
        encoding: of 2-D slices; one phase-encode direction.
        mu: Wiener weight per slice, (slice, 1, 1, 1).
    """
    n_slices, n_columns = encoding.maps.shape[:2]
    columns = list(range(COLUMN_SPACING // 2, n_columns, COLUMN_SPACING)) or [n_columns // 2]
    spread = _point_spread(encoding.counts)
    nodes = torch.stack([_columns_noise(encoding, s, columns, spread[s], mu[s].reshape(())) for s in range(n_slices)])
    inside = encoding.maps.abs().amax(3) > 0
    return _between_columns(nodes, columns, n_columns) * inside


def zero_filled_noise_map(encoding: CartesianEncoding) -> Tensor:
    """Noise standard deviation per pixel of Sᴴ Fᴴ y, shaped as the image, float32: |S| √(mean over lines of 1 / count)."""
    counts = encoding.counts.flatten(1).to(torch.float32)
    variance = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0).mean(1)
    shape = (-1, *(1,) * (len(encoding.image_shape) - 1))
    return encoding.maps.abs().square().sum(3).sqrt() * variance.sqrt().reshape(shape)


def replica_noise_map(
    solve: Callable[[Tensor], Tensor], noise_shape: tuple[int, ...], replicas: int, seed: int
) -> Tensor:
    """Standard deviation over pseudo replicas, shaped as the images that `solve` makes.

    Args:
        solve: reconstructs after adding its argument, complex noise with E|n|² = 1 in the shape of k-space, to the data.
        noise_shape: shape of that noise.
        replicas: number of them.
        seed: of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    total: Tensor | None = None
    square: Tensor | None = None
    for _ in range(replicas):
        image = solve(torch.randn(noise_shape, generator=generator, dtype=torch.complex64))
        total = image if total is None else total + image
        power = image.abs().square()
        square = power if square is None else square + power
    if total is None or square is None:
        raise ValueError(f"replicas is {replicas}; at least 2 are needed.")
    variance = (square - total.abs().square() / replicas) / (replicas - 1)
    return variance.clamp(min=0).sqrt()


def _point_spread(counts: Tensor) -> Tensor:
    """Circulant first column of Fᴴ W² F, (slice, y), origin first."""
    n = counts.shape[-1]
    psf = to_image(counts.to(torch.complex64), (-1,)) / n**0.5
    return torch.fft.ifftshift(psf, dim=-1)


def _columns_noise(encoding: CartesianEncoding, s: int, columns: list[int], spread: Tensor, mu: Tensor) -> Tensor:
    """Noise of some columns of one slice, (column, set, y)."""
    n_sets, _, n_y = encoding.maps.shape[2:]
    lag = (torch.arange(n_y)[:, None] - torch.arange(n_y)[None, :]) % n_y
    circulant = spread[lag.to(spread.device)].repeat(n_sets, n_sets)
    size = n_sets * n_y
    batch = max(1, MATRIX_BYTES // (8 * size * size))
    parts = []
    for start in range(0, len(columns), batch):
        maps = encoding.maps[s, columns[start : start + batch]].movedim(2, 1).flatten(2)  # (column, coil, set·y)
        matrix = (maps.mH @ maps) * circulant
        # pixels without sensitivity get a unit diagonal: they hold nothing, and the factorisation stays sound
        empty = (maps.abs().amax(1) == 0).to(matrix.real.dtype)
        ridge = torch.diag_embed((mu + empty).to(matrix.dtype))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix + ridge))
        diagonal = inverse.diagonal(dim1=-2, dim2=-1).real
        norms = inverse.abs().square().sum(-1)  # diagonal of B², B Hermitian
        variance = diagonal - mu * norms
        parts.append(variance.clamp(min=0).sqrt().unflatten(-1, (n_sets, n_y)))
    return torch.cat(parts)


def _between_columns(nodes: Tensor, columns: list[int], n_columns: int) -> Tensor:
    """Linear interpolation from (slice, node, ...) to (slice, x, ...)."""
    places = torch.tensor(columns, dtype=torch.float32)
    x = torch.arange(n_columns, dtype=torch.float32).clamp(float(places[0]), float(places[-1]))
    right = torch.searchsorted(places, x).clamp(max=len(columns) - 1)
    left = (right - 1).clamp(min=0)
    gap = (places[right] - places[left]).clamp(min=1)
    share = ((x - places[left]) / gap).clamp(0, 1).reshape(1, -1, *(1,) * (nodes.ndim - 2)).to(nodes.device)
    return nodes[:, left] * (1 - share) + nodes[:, right] * share
