"""ESPIRiT of all slices of a 2-D scan at once, for GPUs: the sensitivities of `espirit.py`, which explains them.

How it differs: each step is one operation on all slices, and the host is asked three times in all. Orthonormal bases come from
Cholesky factors in double precision, taken twice (CholeskyQR2: Yamamoto et al. 2015, Electron. Trans. Numer. Anal. 44:306), since
libraries take the QR decompositions of a batch one by one; the small eigenvalue problems of the subspaces are solved by the CPU's
cores, one each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from knerve.gpu.map_interpolation import interpolate_maps
from knerve.gpu.soft_mask import soft_mask
from knerve.gpu.workers import side_by_side
from knerve.recon.coarse_maps import coarse_grid, eigenvectors_of_sums, lag_sums
from knerve.recon.espirit import (
    PHASE_STEPS,
    SECOND_MASK,
    SECOND_SET_SHARE,
    SOFT_MASK,
    STRONG_SIGNAL,
    Sensitivities,
    kernel_and_sets,
    low_resolution_matrix,
)
from knerve.recon.interpolation import cubic_neighbours, interpolate_rows, interpolation_matrix
from knerve.recon.patch_subspace import LEFT_OVER, MOST_STEPS, RELATIVE_THRESHOLD, signal_projector

RIDGE = 1e-14  # of the largest diagonal element: what rounding leaves of a Gram matrix
NOTHING = 1e-30


def espirit_at_once(
    calibration: Tensor, shape: Sequence[int], fov: Sequence[float], kernel_width: int, n_sets: int | None
) -> Sensitivities:
    """Sensitivities on the image grid; the arguments are those of `espirit`, for 2-D scans."""
    n_slices, n_coils = calibration.shape[:2]
    kernel, n_sets = kernel_and_sets(calibration, kernel_width, n_sets)
    grid = coarse_grid(shape, kernel, fov)
    sums = torch.stack([lag_sums(projector) for projector in signal_projectors(calibration, kernel)])
    vectors, values = eigenvectors_of_sums(sums, grid.sides, grid.fov, n_sets or 2)
    low, high = _object_bands(calibration, values[..., 0], grid.fov)
    first = _fade(values[..., 0], low, high)
    wanted = [n_sets or 1] * n_slices
    if n_sets is None:
        inside = first > 0.5
        twofold = inside & (soft_mask(values[..., 1], SECOND_MASK) > 0.5)
        folded = twofold.sum((1, 2)) >= SECOND_SET_SHARE * inside.sum((1, 2)).clamp(min=1)
        wanted = [2 if is_folded else 1 for is_folded in folded.tolist()]
    fades = [first, soft_mask(values[..., 1], SECOND_MASK)] if max(wanted) == 2 else [first]
    bands = torch.stack([low, high], dim=1).tolist()
    maps = calibration.new_empty(n_slices, shape[-1], max(wanted), n_coils, shape[0])
    eigenvalues = torch.empty(n_slices, shape[-1], max(wanted), shape[0], device=maps.device)
    matrix = interpolation_matrix(shape[0], grid.sides[0]).to(maps.device)
    neighbours = tuple(each.to(maps.device) for each in cubic_neighbours(shape[-1], grid.sides[-1], grid.reach))
    for k, fade in enumerate(fades):
        phases = reference_phases(vectors[..., k].flatten(1, 2), fade.flatten(1)).unflatten(1, grid.sides)
        weighted = vectors[..., k] * (phases * fade)[..., None]
        planes = torch.cat([weighted.real, weighted.imag, values[..., k, None]], dim=-1)
        for s in range(n_slices):
            if k >= wanted[s]:
                maps[s, :, k], eigenvalues[s, :, k] = 0, 0
                continue
            rows = interpolate_rows(planes[s], [matrix]).flatten(2)
            band = (bands[s][0], bands[s][1]) if k == 0 else SECOND_MASK
            interpolate_maps(rows, neighbours[0], neighbours[1], band, maps[s], eigenvalues[s], k)
    return Sensitivities(maps, eigenvalues)


def signal_projectors(calibration: Tensor, kernel: Sequence[int]) -> list[Tensor]:
    """`signal_projector` of every slice of `calibration (slice, coil, ky, kx)`.

    Slices whose signal does not stand clear of the noise within `MOST_STEPS` of subspace iteration go there one by one.
    """
    n_coils = calibration.shape[1]
    n_values, n_sought = math.prod(kernel) * n_coils, 2 * math.prod(kernel)
    if n_sought > n_values // 3:
        return [signal_projector(block, kernel) for block in calibration]
    correlation, n_patches = _patch_correlations(calibration, kernel)
    noise_edge = n_patches * (1 + math.sqrt(n_values / n_patches)) ** 2
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(n_values, n_sought, generator=generator, dtype=torch.complex64).to(correlation)
    basis = start.expand(len(calibration), -1, -1)
    for _ in range(MOST_STEPS):
        basis = orthonormal(correlation @ basis)
    wide = basis.to(torch.complex128)
    small = (wide.mH @ (correlation @ basis).to(torch.complex128)).cpu()
    found = list(side_by_side(torch.linalg.eigh, small, torch.get_num_threads()))
    chosen = [_signal(values, noise_edge) for values, _ in found]
    rotation = torch.stack(
        [vectors * (0 if signal is None else signal) for (_, vectors), signal in zip(found, chosen, strict=True)]
    )
    vectors = (wide @ rotation.to(wide.device)).to(calibration.dtype)
    projectors = (vectors @ vectors.mH).unflatten(2, (*kernel, n_coils)).unflatten(1, (*kernel, n_coils))
    return [
        signal_projector(block, kernel) if signal is None else projector
        for block, projector, signal in zip(calibration, projectors, chosen, strict=True)
    ]


def orthonormal(columns: Tensor) -> Tensor:
    """An orthonormal basis of what the columns (slice, value, column) span, of the same precision."""
    wide = columns.to(torch.complex128)
    for _ in range(2):
        gram = wide.mH @ wide
        diagonal = gram.diagonal(dim1=-2, dim2=-1)
        diagonal.add_(RIDGE * diagonal.real.amax(-1, keepdim=True) + NOTHING)
        factor = torch.linalg.cholesky_ex(gram)[0]
        wide = torch.linalg.solve_triangular(factor.mH, wide, upper=True, left=False)
    return wide.to(columns.dtype)


def reference_phases(vectors: Tensor, weights: Tensor) -> Tensor:
    """`reference_phase` of every slice: vectors (slice, point, coil), weights and result (slice, point)."""
    gram = (vectors * weights[..., None]).mT @ vectors.conj()
    u = torch.linalg.eigh(gram)[1][..., -1:]  # (slice, coil, 1)
    for _ in range(PHASE_STEPS):
        seen = vectors @ u.conj()
        pull = vectors.mT @ (weights[..., None] * seen.conj() / (_power(seen) + 0.02))
        u = u + 0.5 * pull / torch.linalg.vector_norm(pull, dim=1, keepdim=True).clamp(min=NOTHING)
        u = u / torch.linalg.vector_norm(u, dim=1, keepdim=True)
    seen = (vectors @ u.conj())[..., 0]
    size = _power(seen).sqrt()
    return torch.where(size > 1e-12, seen.conj() / size.clamp(min=1e-12), torch.ones_like(seen))


def _patch_correlations(calibration: Tensor, kernel: Sequence[int]) -> tuple[Tensor, int]:
    """`patch_correlation` of every slice, (slice, value, value), and the number of patches."""
    windows = calibration.unfold(2, kernel[0], 1).unfold(3, kernel[1], 1)  # (slice, coil, ky, kx, sides...)
    patches = windows.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)
    return (patches.mH @ patches).conj().resolve_conj(), patches.shape[1]


def _signal(values: Tensor, noise_edge: float) -> Tensor | None:
    """Which Ritz values, ascending, are signal; None where the iteration cannot have told them from the rest."""
    largest = float(values[-1])
    signal = values >= min(max(noise_edge, RELATIVE_THRESHOLD * largest), largest)
    if largest <= 0 or bool(signal.all()):
        return None
    gap = float(values[0].clamp(min=NOTHING) / values[signal][0])
    return signal if gap < 1 and math.log(LEFT_OVER) / math.log(gap) <= MOST_STEPS else None


def _object_bands(calibration: Tensor, values: Tensor, fov: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Eigenvalues between which the first set of every slice fades in, see `espirit._object_band`; two of (slice)."""
    along_y, along_x = (
        low_resolution_matrix(n, n_grid, f).to(calibration)
        for n, n_grid, f in zip(calibration.shape[2:], values.shape[1:], fov, strict=True)
    )
    brightness = _power(along_y @ calibration @ along_x.mT).sum(1).flatten(1)
    largest = brightness.amax(1, keepdim=True)
    bright = (brightness > STRONG_SIGNAL**2 * largest) & (largest > 0)
    certain = torch.nanquantile(torch.where(bright, values.flatten(1), torch.nan), 0.02, dim=1)
    low, high = SOFT_MASK
    is_empty = torch.isnan(certain)
    lowest, highest = (0.85 * certain).clamp(max=low), certain.clamp(max=high)
    return torch.where(is_empty, low, lowest), torch.where(is_empty, high, highest)


def _fade(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`soft_mask` with a band for each slice."""
    t = ((values - low[:, None, None]) / (high - low)[:, None, None]).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _power(values: Tensor) -> Tensor:
    """|.|²."""
    return torch.view_as_real(values.resolve_conj()).square().sum(-1)
