"""ESPIRiT: coil sensitivities as the eigenvectors of what k-space calibration data agree on.

Every small patch of multi-coil k-space lies in a low-dimensional subspace with projector P. Averaging the projections of
all patches leaves k-space as it is; in image space that average is one small Hermitian matrix per pixel,

    Q(r) = 1/K Σ_ij P_(c,i),(c',j) exp(-2πi (j - i) r / n),      Q(r) s(r) = s(r),

so the sensitivities s are its eigenvectors of eigenvalue 1 (two of them where two parts of the body fold onto one pixel),
and an eigenvalue well below 1 marks pixels without signal. Q holds so few spatial frequencies that a coarse grid carries it.

Method: Uecker et al. 2014, doi:10.1002/mrm.24751.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from knerve.recon.interpolation import interpolate_columns, interpolation_matrix

RELATIVE_THRESHOLD = 1e-3  # eigenvalues of the patch correlation below this fraction of the largest are no signal
COARSE_POINTS_PER_SAMPLE = 12  # coarse grid points per kernel sample and field of view
SOFT_MASK = (0.75, 0.92)  # eigenvalues between which the sensitivities fade in, for data with enough calibration lines
SECOND_MASK = (
    0.86,
    0.96,
)  # stricter for a second set: single anatomy stays below 0.91 (99 % of a brain), folded lies above
SECOND_SET_SHARE = 0.03  # of the object must ask for a second sensitivity
KERNEL_FOR_TWO_SETS = 5  # narrower kernels find second sensitivities where there are none
STRONG_SIGNAL = 0.3  # of the brightest: pixels this bright are object beyond doubt
SQUARINGS = 4  # Q^16 separates the first two eigenvalues from the rest
POWER_STEPS = 6


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
        return torch.linalg.vector_norm(self.maps, dim=3)


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
    n_slices, n_coils = calibration.shape[:2]
    kernel = _kernel_shape(calibration.shape[2:], kernel_width, n_coils)
    grids = [min(n, COARSE_POINTS_PER_SAMPLE * k) for n, k in zip(shape, kernel, strict=True)]
    phases = [_phase_factors(g, k, f) for g, k, f in zip(grids, kernel, fov, strict=True)]
    upscale = [interpolation_matrix(n, g).to(calibration.device) for n, g in zip(shape, grids, strict=True)]
    if n_coils == 1 or (n_sets is None and min(kernel[:-1]) < KERNEL_FOR_TWO_SETS):
        n_sets = 1
    maps = calibration.new_zeros(n_slices, shape[-1], 2 if n_sets is None else n_sets, n_coils, *shape[:-1])
    eigenvalues = torch.zeros(maps.shape[:3] + maps.shape[4:], device=maps.device)
    for s in range(n_slices):
        projector = signal_projector(calibration[s], kernel)
        vectors, values = _leading_eigenvectors(_image_space(projector, kernel, phases), maps.shape[2])
        bands = (_object_band(calibration[s], values[..., 0], fov), SECOND_MASK)
        wanted = maps.shape[2] if n_sets is not None or _is_folded(values, bands) else 1
        for k in range(wanted):
            maps[s, :, k], eigenvalues[s, :, k] = _to_image_grid(vectors[..., k], values[..., k], upscale, bands[k])
    # slices that do well with one set keep an empty second one beside a neighbour that needs it
    used = 1 if n_sets is None and not bool(maps[:, :, 1].abs().any()) else maps.shape[2]
    return Sensitivities(maps[:, :, :used].contiguous(), eigenvalues[:, :, :used].contiguous())


def _is_folded(values: Tensor, bands: Sequence[tuple[float, float]]) -> bool:
    """Whether enough of the object asks for a second sensitivity; `values (positions..., 2)`."""
    inside = _soft_mask(values[..., 0], bands[0]) > 0.5
    twofold = inside & (_soft_mask(values[..., 1], bands[1]) > 0.5)
    return float(twofold.sum()) >= SECOND_SET_SHARE * float(inside.sum().clamp(min=1))


def signal_projector(calibration: Tensor, kernel: Sequence[int]) -> Tensor:
    """Projector P onto the subspace of the patches of `calibration (coil, [kz,] ky, kx)`, (coil·K, coil·K).

    Eigenvalues of the patch correlation count as signal above the noise bulk, whose upper edge random matrix theory gives in
    units of the (unit) noise variance, and above `RELATIVE_THRESHOLD` of the largest.
    """
    windows = calibration
    for dim, width in enumerate(kernel, start=1):
        windows = windows.unfold(dim, width, 1)
    n_dims = len(kernel)
    patches = windows.movedim(0, n_dims).flatten(0, n_dims - 1).flatten(1)  # (position, coil·K)
    n_patches, n_values = patches.shape
    correlation = patches.mT @ patches.conj()
    values, vectors = torch.linalg.eigh(correlation)
    if float(values[-1]) <= 0:  # an empty image has no signal subspace
        return torch.zeros_like(correlation)
    noise_edge = n_patches * (1 + math.sqrt(n_values / n_patches)) ** 2
    threshold = max(noise_edge, RELATIVE_THRESHOLD * float(values[-1]))
    signal = vectors[:, values >= min(threshold, float(values[-1]))]
    return signal @ signal.mH


def _kernel_shape(calibration_shape: Sequence[int], width: int, n_coils: int) -> tuple[int, ...]:
    """Patch sides: at most `width`, at most half the calibration region (plus one), at most 2000 values in all."""
    while True:
        kernel = tuple(min(width, n // 2 + 1) for n in calibration_shape)
        if n_coils * math.prod(kernel) <= 2000 or width <= 3:
            return kernel
        width -= 1


def _phase_factors(n_grid: int, width: int, fov: float) -> Tensor:
    """exp(-2πi lag r) for the coarse positions r in fractions of the calibration field of view, (position, lag)."""
    position = (torch.arange(n_grid, dtype=torch.float64) - n_grid // 2) / (n_grid * fov)
    lag = torch.arange(-(width - 1), width, dtype=torch.float64)
    return torch.exp(-2j * math.pi * position[:, None] * lag[None, :]).to(torch.complex64)


def _image_space(projector: Tensor, kernel: Sequence[int], phases: Sequence[Tensor]) -> Tensor:
    """Q at the coarse positions, (positions..., coil, coil)."""
    n_kernel = math.prod(kernel)
    n_coils = projector.shape[0] // n_kernel
    pairs = projector.reshape(n_coils, n_kernel, n_coils, n_kernel).permute(1, 3, 0, 2).flatten(0, 1).flatten(1)
    lag_sides = [2 * k - 1 for k in kernel]
    lag_sums = pairs.new_zeros(math.prod(lag_sides), n_coils * n_coils)
    lag_sums.index_add_(0, _lag_indices(kernel).to(pairs.device), pairs)
    q = lag_sums.reshape(*lag_sides, n_coils * n_coils)
    for axis, phase in enumerate(phases):
        q = torch.tensordot(phase.to(q.device), q.movedim(axis, 0), dims=1).movedim(0, axis)
    return q.unflatten(-1, (n_coils, n_coils)) / n_kernel


def _lag_indices(kernel: Sequence[int]) -> Tensor:
    """For every pair (i, j) of patch positions, the flat index of the lag j - i."""
    places = list(product(*(range(k) for k in kernel)))
    indices = []
    for i in places:
        for j in places:
            flat = 0
            for a, b, width in zip(i, j, kernel, strict=True):
                flat = flat * (2 * width - 1) + (b - a + width - 1)
            indices.append(flat)
    return torch.tensor(indices)


def _leading_eigenvectors(q: Tensor, n_vectors: int) -> tuple[Tensor, Tensor]:
    """Eigenvectors of largest eigenvalue of many small Hermitian matrices, by power iteration and deflation.

    Where two eigenvalues are equal the vectors are any basis of their plane, but one that varies smoothly.

    Returns:
        vectors (positions..., coil, vector) and eigenvalues (positions..., vector).
    """
    vectors, values = [], []
    for _ in range(min(n_vectors, q.shape[-1])):
        vector = _power_iteration(q)
        value = torch.linalg.vecdot(vector, (q @ vector[..., None])[..., 0]).real
        q = q - value[..., None, None] * (vector[..., :, None] * vector[..., None, :].conj())
        vectors.append(vector)
        values.append(value)
    return torch.stack(vectors, dim=-1), torch.stack(values, dim=-1).clamp(0, 1)


def _power_iteration(q: Tensor) -> Tensor:
    """Unit eigenvector of largest eigenvalue, (positions..., coil), from one start for all positions."""
    power = q
    for _ in range(SQUARINGS):
        power = power @ power
        power = power / torch.linalg.matrix_norm(power, keepdim=True).clamp(min=1e-30)
    # a fixed start that no eigenvector of a real array is orthogonal to
    start = torch.exp(1j * torch.arange(q.shape[-1], dtype=torch.float32)).to(q)
    vector = start.expand(q.shape[:-1])[..., None]
    for _ in range(POWER_STEPS):
        vector = power @ vector
        vector = vector / torch.linalg.vector_norm(vector, dim=-2, keepdim=True).clamp(min=1e-30)
    return vector[..., 0]


def _object_band(calibration: Tensor, values: Tensor, fov: Sequence[float]) -> tuple[float, float]:
    """Eigenvalues between which the first set fades in: `SOFT_MASK`, lowered where few lines lower the object's own.

    The brightest pixels of the low-resolution image are object beyond doubt; the mask must not cut into them.
    """
    image = calibration
    for axis, (n_grid, f) in enumerate(zip(values.shape, fov, strict=True), start=1):
        n = image.shape[axis]
        position = (torch.arange(n_grid, dtype=torch.float64) - n_grid // 2) / (n_grid * f)
        wave = torch.exp(2j * math.pi * position[:, None] * (torch.arange(n) - n // 2)[None, :])
        window = torch.hann_window(n + 2, periodic=False, dtype=torch.float64)[1:-1]
        matrix = (wave * window).to(image)
        image = torch.tensordot(matrix, image.movedim(axis, 0), dims=1).movedim(0, axis)
    brightness = torch.linalg.vector_norm(image, dim=0)
    if float(brightness.max()) == 0:
        return SOFT_MASK
    bright = values[brightness > STRONG_SIGNAL * brightness.max()]
    low, high = SOFT_MASK
    certain = float(torch.quantile(bright, 0.02))
    return min(low, 0.85 * certain), min(high, certain)


def _to_image_grid(
    vectors: Tensor, values: Tensor, upscale: Sequence[Tensor], band: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """One set on the image grid: map (x, coil, [z,] y) and eigenvalue (x, [z,] y) from the coarse (positions..., coil)."""
    fade = _soft_mask(values, band)
    # weighted by the mask: the arbitrary vectors outside the object do not bleed in
    weighted = vectors * (reference_phase(vectors, fade) * fade)[..., None]
    planes = torch.cat([weighted.real, weighted.imag, values[..., None]], dim=-1)
    fine = interpolate_columns(planes, upscale)
    n_coils = vectors.shape[-1]
    real, imaginary, value = fine[:, :n_coils], fine[:, n_coils:-1], fine[:, -1].clamp(0, 1)
    norm = (real.square().sum(1) + imaginary.square().sum(1)).sqrt()
    factor = (_soft_mask(value, band) / norm.clamp(min=1e-6))[:, None]
    return torch.complex(real * factor, imaginary * factor), value


def _soft_mask(values: Tensor, band: tuple[float, float]) -> Tensor:
    """0 below the band, 1 above it, smooth between."""
    low, high = band
    t = ((values - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def reference_phase(vectors: Tensor, weights: Tensor) -> Tensor:
    """Unit factors that turn eigenvectors (..., coil), whose phase is arbitrary, to a smooth common phase.

    The phase of one virtual coil u serves as reference. Where u's own sensitivity vanishes the phase would wind around a
    pole; u therefore maximises Σ weight · log |uᴴ v|², which keeps it away from zero everywhere in the object.
    """
    flat = vectors.flatten(0, -2)
    weight = weights.flatten()
    correlation = (flat * weight[:, None]).mT @ flat.conj()
    u = torch.linalg.eigh(correlation)[1][:, -1]
    for _ in range(40):
        seen = flat @ u.conj()
        pull = (flat * (weight * seen.conj() / (seen.abs().square() + 0.02))[:, None]).sum(0)
        u = u + 0.5 * pull / torch.linalg.vector_norm(pull).clamp(min=1e-30)
        u = u / torch.linalg.vector_norm(u)
    seen = vectors @ u.conj()
    return torch.where(seen.abs() > 1e-12, seen.conj() / seen.abs().clamp(min=1e-12), torch.ones_like(seen))
