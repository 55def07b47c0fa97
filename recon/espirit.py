"""ESPIRiT: coil sensitivities as the eigenvectors of what k-space calibration data agree on.

Every small patch of multi-coil k-space lies in a low-dimensional subspace with projector P. Averaging the projections of
all patches leaves k-space as it is; in image space that average is one small Hermitian matrix per pixel,

    Q(r) = 1/K Σ_ij P_(c,i),(c',j) exp(-2πi (j - i) r / n),      Q(r) s(r) = s(r),

so the sensitivities s are its eigenvectors of eigenvalue 1 (two of them where two parts of the body fold onto one pixel),
and an eigenvalue well below 1 marks pixels without signal. Q holds so few spatial frequencies that a coarse grid carries it.

    patch_subspace.py  ->  coarse_maps.py  ->  here: phase, mask and interpolation to the image grid

Method: Uecker et al. 2014, doi:10.1002/mrm.24751.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.gpu.soft_mask import soft_mask
from knerve.recon.coarse_maps import CoarseGrid, coarse_eigenvectors, coarse_grid
from knerve.recon.interpolation import cubic_neighbours, interpolate_rows, interpolation_matrix
from knerve.recon.patch_subspace import signal_projector

SOFT_MASK = (0.75, 0.92)  # eigenvalues between which the sensitivities fade in, for data with enough calibration lines
SECOND_MASK = (
    0.86,
    0.96,
)  # stricter for a second set: single anatomy stays below 0.91 (99 % of a brain), folded lies above
SECOND_SET_SHARE = 0.03  # of the object must ask for a second sensitivity
KERNEL_FOR_TWO_SETS = 5  # narrower kernels find second sensitivities where there are none
STRONG_SIGNAL = 0.3  # of the brightest: pixels this bright are object beyond doubt
PHASE_STEPS = 40  # at most
PHASE_TOLERANCE = 1e-6  # of the reference coil's unit norm


@dataclass(frozen=True)
class Sensitivities:
    """Coil sensitivities of a batch of slices.

    Attributes:
        maps: complex64, (slice, x, set, coil, [z,] y); unit norm over the coils inside the object, fading to 0 outside.
        eigenvalues: float32, (slice, x, set, [z,] y), 0 to 1: how well one (or a second) sensitivity explains the data.
    """

    maps: Tensor
    eigenvalues: Tensor

    @property
    def strength(self) -> Tensor:
        """Norm over the coils, float32, (slice, x, set, [z,] y): 1 inside the object, 0 outside, between on its rim."""
        return torch.view_as_real(self.maps).square().sum(-1).sum(3).sqrt()


@dataclass(frozen=True)
class _CoarseMaps:
    """Of one slice: grid, vectors (grid..., coil, set), values (grid..., set), the mask's bands, how many sets are wanted."""

    grid: CoarseGrid
    vectors: Tensor
    values: Tensor
    bands: tuple[tuple[float, float], tuple[float, float]]
    n_sets: int


def espirit(
    calibration: Tensor, shape: Sequence[int], fov: Sequence[float], kernel_width: int, n_sets: int | None
) -> Sensitivities:
    """Sensitivities on the image grid from fully sampled central k-space.

    Args:
        calibration: whitened, (slice, coil, [kz,] ky, kx) complex64.
        shape: image grid ([z,] y, x).
        fov: field of view that the calibration samples encode, over that of the image, ([z,] y, x).
        kernel_width: side of the patches, in samples; a side shorter than that shortens the patch.
        n_sets: number of maps per pixel, 1 or 2; None takes two where the data show an object that folds over itself.
    """
    n_coils = calibration.shape[1]
    kernel, n_sets = kernel_and_sets(calibration, kernel_width, n_sets)
    grid = coarse_grid(shape, kernel, fov)
    coarse = [_coarse_maps(block, kernel, grid, n_sets) for block in calibration]
    # slices that do well with one set keep an empty second one beside a neighbour that needs it
    used = max(slice_maps.n_sets for slice_maps in coarse) if n_sets is None else n_sets
    maps = calibration.new_empty(len(coarse), shape[-1], used, n_coils, *shape[:-1])
    eigenvalues = torch.empty(maps.shape[:3] + maps.shape[4:], device=maps.device)
    for s, slice_maps in enumerate(coarse):
        _to_image_grid(slice_maps, shape, maps[s], eigenvalues[s])
    return Sensitivities(maps, eigenvalues)


def kernel_and_sets(calibration: Tensor, width: int, n_sets: int | None) -> tuple[tuple[int, ...], int | None]:
    """Sides of the patches, and the number of sets asked for where these data can show two."""
    n_coils = calibration.shape[1]
    kernel = _kernel_shape(calibration.shape[2:], width, n_coils)
    if n_coils == 1 or (n_sets is None and min(kernel[:-1]) < KERNEL_FOR_TWO_SETS):
        n_sets = 1
    return kernel, n_sets


def _kernel_shape(calibration_shape: Sequence[int], width: int, n_coils: int) -> tuple[int, ...]:
    """Patch sides: at most `width`, at most half the calibration region (plus one), at most 2000 values in all."""
    while True:
        kernel = tuple(min(width, n // 2 + 1) for n in calibration_shape)
        if n_coils * math.prod(kernel) <= 2000 or width <= 3:
            return kernel
        width -= 1


def _coarse_maps(calibration: Tensor, kernel: Sequence[int], grid: CoarseGrid, n_sets: int | None) -> _CoarseMaps:
    """One slice on the coarse grid; with `n_sets` None the data decide how many sets are wanted."""
    vectors, values = coarse_eigenvectors(signal_projector(calibration, kernel), grid.sides, grid.fov, n_sets or 2)
    bands = (_object_band(calibration, values[..., 0], grid.fov), SECOND_MASK)
    wanted = n_sets or (2 if _is_folded(values, bands) else 1)
    return _CoarseMaps(grid, vectors, values, bands, wanted)


def _is_folded(values: Tensor, bands: Sequence[tuple[float, float]]) -> bool:
    """Whether enough of the object asks for a second sensitivity; `values (positions..., 2)`."""
    inside = soft_mask(values[..., 0], bands[0]) > 0.5
    twofold = inside & (soft_mask(values[..., 1], bands[1]) > 0.5)
    return float(twofold.sum()) >= SECOND_SET_SHARE * float(inside.sum().clamp(min=1))


def _object_band(calibration: Tensor, values: Tensor, fov: Sequence[float]) -> tuple[float, float]:
    """Eigenvalues between which the first set fades in: `SOFT_MASK`, lowered where few lines lower the object's own.

    The brightest pixels of the low-resolution image are object beyond doubt; the mask must not cut into them.
    """
    image = calibration
    for axis, (n_grid, f) in enumerate(zip(values.shape, fov, strict=True), start=1):
        matrix = low_resolution_matrix(image.shape[axis], n_grid, f).to(image)
        image = torch.tensordot(matrix, image.movedim(axis, 0), dims=1).movedim(0, axis)
    brightness = torch.view_as_real(image).square().sum(-1).sum(0)
    if float(brightness.max()) == 0:
        return SOFT_MASK
    bright = values[brightness > STRONG_SIGNAL**2 * brightness.max()]
    low, high = SOFT_MASK
    certain = float(torch.quantile(bright, 0.02))
    return min(low, 0.85 * certain), min(high, certain)


def low_resolution_matrix(n: int, n_grid: int, fov: float) -> Tensor:
    """From n samples around the centre of k-space to a coarse image, windowed so that it does not ring, (position, sample)."""
    position = (torch.arange(n_grid, dtype=torch.float64) - n_grid // 2) / (n_grid * fov)
    wave = torch.exp(2j * math.pi * position[:, None] * (torch.arange(n) - n // 2)[None, :])
    window = torch.hann_window(n + 2, periodic=False, dtype=torch.float64)[1:-1]
    return wave * window


def _to_image_grid(coarse: _CoarseMaps, shape: Sequence[int], maps: Tensor, eigenvalues: Tensor) -> None:
    """Fill one slice's maps (x, set, coil, [z,] y) and eigenvalues (x, set, [z,] y) on the image grid `shape ([z,] y, x)`."""
    from knerve.gpu.map_interpolation import interpolate_maps

    *others, grid_x = coarse.grid.sides
    neighbours = cubic_neighbours(shape[-1], grid_x, coarse.grid.reach)
    matrices = [interpolation_matrix(n, g).to(maps.device) for n, g in zip(shape[:-1], others, strict=True)]
    flat_maps, flat_values = maps.flatten(3), eigenvalues.flatten(2)
    for k in range(maps.shape[1]):
        if k >= coarse.n_sets:
            flat_maps[:, k], flat_values[:, k] = 0, 0
            continue
        rows = interpolate_rows(_weighted_planes(coarse, k), matrices).flatten(2)
        interpolate_maps(rows, *neighbours, coarse.bands[k], flat_maps, flat_values, k)


def _weighted_planes(coarse: _CoarseMaps, k: int) -> Tensor:
    """Real parts, imaginary parts and eigenvalue of set k, float32 (grid..., 2 · coil + 1).

    Weighted by the mask: the arbitrary vectors outside the object do not bleed in.
    """
    vectors, values = coarse.vectors[..., k], coarse.values[..., k]
    fade = soft_mask(values, coarse.bands[k])
    weighted = vectors * (reference_phase(vectors, fade) * fade)[..., None]
    return torch.cat([weighted.real, weighted.imag, values[..., None]], dim=-1)


def reference_phase(vectors: Tensor, weights: Tensor) -> Tensor:
    """Unit factors that turn eigenvectors (..., coil), whose phase is arbitrary, to a smooth common phase.

    The phase of one virtual coil u serves as reference. Where u's own sensitivity vanishes the phase would wind around a
    pole; u therefore maximises Σ weight · log |uᴴ v|², which keeps it away from zero everywhere in the object.
    """
    inside = weights > 0
    seen_by_coils, weight = vectors[inside], weights[inside]
    u = torch.linalg.eigh((seen_by_coils * weight[:, None]).mT @ seen_by_coils.conj())[1][:, -1]
    for _ in range(PHASE_STEPS):
        seen = seen_by_coils @ u.conj()
        pull = seen_by_coils.mT @ (weight * seen.conj() / (_power(seen) + 0.02))
        before = u
        u = u + 0.5 * pull / torch.linalg.vector_norm(pull).clamp(min=1e-30)
        u = u / torch.linalg.vector_norm(u)
        if float(torch.linalg.vector_norm(u - before)) < PHASE_TOLERANCE:
            break
    seen = vectors @ u.conj()
    size = _power(seen).sqrt()
    return torch.where(size > 1e-12, seen.conj() / size.clamp(min=1e-12), torch.ones_like(seen))


def _power(values: Tensor) -> Tensor:
    """|.|²; torch's own `abs` takes the root first, and its time."""
    return torch.view_as_real(values).square().sum(-1)
