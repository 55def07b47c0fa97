"""How much noise the unfolding leaves in each pixel, and so the local signal-to-noise ratio.

    analytic   diagonal of  B M B,  M = Aᴴ A,  B = (M + μ)⁻¹   for every few columns and pixels, interpolated between
    replica    standard deviation over reconstructions of the data plus fresh noise

The analytic map is that of the linear SENSE problem, also where compressed sensing made the image: the noise that had to be
dealt with, not what its thresholds left. Replicas measure the method itself. In units of a fully sampled pixel's noise; divided
by √R the analytic map is the g-factor (Pruessmann et al. 1999,
doi:10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S).

Replicas: Robson et al. 2008, doi:10.1002/mrm.21728.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from knerve.gpu.fourier import to_image
from knerve.gpu.workers import side_by_side
from knerve.recon.encoding import CartesianEncoding

# The map varies as slowly as the coils, but for edges where they fade. Off from that of every sixth column, in navigating and
# planning scans of a drawn knee: 90 % of the pixels by at most 1 to 6 %, 98 % by at most 19 to 30 %.
COLUMN_SPACING = 20
PIXELS_PER_COLUMN = 120  # at least, along the phase encodes: within 2 % of all of them (98 % of a leg)
MATRIX_BYTES = 1 << 28  # of dense matrices held at once
SMALLEST_STRENGTH = 1e-6  # of the sensitivities


def analytic_noise_map(encoding: CartesianEncoding, mu: Tensor) -> Tensor:
    """Noise standard deviation per pixel of the SENSE solution, (slice, x, set, y) float32.

    Args:
        encoding: of 2-D slices; one phase-encode direction.
        mu: Wiener weight per slice, (slice, 1, 1, 1).
    """
    n_slices, n_columns = encoding.maps.shape[:2]
    columns = list(range(COLUMN_SPACING // 2, n_columns, COLUMN_SPACING)) or [n_columns // 2]
    spreads = _point_spreads(encoding.counts)
    columns_noise = _columns_noise_plain if encoding.maps.is_cuda else _columns_noise
    nodes = [columns_noise(encoding.maps[s, columns], spreads[s], mu[s].reshape(())) for s in range(n_slices)]
    # where sensitivities fade, noise times their norm is what stays smooth
    strength = _strength(encoding.maps, dim=3)
    smooth = _between(torch.stack(nodes), columns, n_columns)
    noise = torch.where(strength > 0, smooth / strength.clamp(min=SMALLEST_STRENGTH), 0.0)
    return torch.minimum(noise, 0.5 / mu.sqrt())  # no eigenvalue λ of M gives more: λ / (λ + μ)² <= 1 / 4μ


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


def _point_spreads(counts: Tensor) -> Tensor:
    """Circulant matrix Fᴴ W² F of every slice, (slice, y, y)."""
    n = counts.shape[-1]
    first_column = torch.fft.ifftshift(to_image(counts.to(torch.complex64), (-1,)) / n**0.5, dim=-1)
    lag = (torch.arange(n)[:, None] - torch.arange(n)[None, :]) % n
    return first_column[:, lag.to(counts.device)]


def _columns_noise(maps: Tensor, spread: Tensor, mu: Tensor) -> Tensor:
    """Noise times norm of the sensitivities, (column, set, y), some pixels computed and those between interpolated.

    Args:
        maps: (column, set, coil, y), on the CPU.
        spread: circulant, (y, y).
        mu: Wiener weight.
    """
    spacing = max(1, maps.shape[-1] // PIXELS_PER_COLUMN)
    return torch.stack(
        list(side_by_side(lambda column: _column_noise(column, spread, mu, spacing), maps, torch.get_num_threads()))
    )


def _column_noise(maps: Tensor, spread: Tensor, mu: Tensor, spacing: int) -> Tensor:
    """The same of one column, (set, y), from `maps (set, coil, y)`.

    Pixels without sensitivity take no part. With the wanted ones last, the Cholesky factor L of M + μ gives their part of B:

        B_22 = (L_22 L_22ᴴ)⁻¹,     B_12 = -L_11⁻ᴴ L_21ᴴ B_22,     variance_i = (B_22)_ii - μ Σ_k |B_ki|²
    """
    strength = _strength(maps, dim=1)
    wanted = _wanted_pixels(strength > 0, spacing)
    noise = torch.zeros_like(strength)
    if not bool(wanted.any()):
        return noise
    unknowns = torch.cat([torch.nonzero((strength > 0) & ~wanted), torch.nonzero(wanted)])
    n_others = len(unknowns) - int(wanted.sum())
    sets, y = unknowns.T
    seen = maps[sets, :, y]  # (unknown, coil)
    matrix = (seen.conj() @ seen.mT) * spread.index_select(0, y).index_select(1, y)
    matrix.diagonal().add_(mu)
    factor = torch.linalg.cholesky(matrix)
    b_22 = torch.cholesky_inverse(factor[n_others:, n_others:])
    l_21_b = factor[n_others:, :n_others].mH @ b_22
    b_12 = torch.linalg.solve_triangular(factor[:n_others, :n_others].mH, l_21_b, upper=True)
    variance = b_22.diagonal().real - mu * (_power(b_22).sum(0) + _power(b_12).sum(0))
    noise[wanted] = variance.clamp(min=0).sqrt()
    return _between_pixels(noise * strength, wanted) * (strength > 0)


def _wanted_pixels(inside: Tensor, spacing: int) -> Tensor:
    """Every `spacing`-th pixel inside and both ends of every run of such pixels, bool (set, y)."""
    outside = ~inside
    is_end = torch.roll(outside, 1, dims=1) | torch.roll(outside, -1, dims=1)
    return inside & (is_end | (torch.arange(inside.shape[1]) % spacing == 0))


def _between_pixels(values: Tensor, known: Tensor) -> Tensor:
    """Linear interpolation along y of `values (set, y)` from the known ones."""
    y = np.arange(values.shape[1])
    filled = [
        np.interp(y, y[at], value[at]) if at.any() else np.zeros(len(y))
        for value, at in zip(values.numpy(), known.numpy(), strict=True)
    ]
    return torch.from_numpy(np.stack(filled)).to(values.dtype)


def _columns_noise_plain(maps: Tensor, spread: Tensor, mu: Tensor) -> Tensor:
    """The same with every pixel computed, many columns at once: for GPUs, and the oracle of tests."""
    n_sets, _, n_y = maps.shape[1:]
    circulant = spread.repeat(n_sets, n_sets)
    size = n_sets * n_y
    parts = []
    for batch in (
        maps.movedim(2, 1).flatten(2).split(max(1, MATRIX_BYTES // (8 * size * size)))
    ):  # (column, coil, set·y)
        matrix = (batch.mH @ batch) * circulant
        # pixels without sensitivity get a unit diagonal: they hold nothing, and the factorisation stays sound
        empty = (batch.abs().amax(1) == 0).to(matrix.real.dtype)
        ridge = torch.diag_embed((mu + empty).to(matrix.dtype))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix + ridge))
        diagonal = inverse.diagonal(dim1=-2, dim2=-1).real
        variance = diagonal - mu * _power(inverse).sum(-1)  # the diagonal of B² from B, which is Hermitian
        parts.append(variance.clamp(min=0).sqrt().unflatten(-1, (n_sets, n_y)))
    return torch.cat(parts) * _strength(maps, dim=2)


def _strength(maps: Tensor, dim: int) -> Tensor:
    """Norm over the coils."""
    return _power(maps).sum(dim).sqrt()


def _power(values: Tensor) -> Tensor:
    """|.|²; torch's own `abs` takes the root first, and its time."""
    return torch.view_as_real(values.resolve_conj()).square().sum(-1)


def _between(nodes: Tensor, columns: list[int], n_columns: int) -> Tensor:
    """Linear interpolation from (slice, node, ...) to (slice, x, ...)."""
    places = torch.tensor(columns, dtype=torch.float32)
    x = torch.arange(n_columns, dtype=torch.float32).clamp(float(places[0]), float(places[-1]))
    right = torch.searchsorted(places, x).clamp(max=len(columns) - 1)
    left = (right - 1).clamp(min=0)
    gap = (places[right] - places[left]).clamp(min=1)
    share = ((x - places[left]) / gap).clamp(0, 1).reshape(1, -1, *(1,) * (nodes.ndim - 2)).to(nodes.device)
    return nodes[:, left] * (1 - share) + nodes[:, right] * share
