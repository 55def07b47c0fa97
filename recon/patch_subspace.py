"""The subspace in which all small patches of multi-coil k-space lie, from their correlation matrix.

    C = Σ_p x_p x_pᴴ      x_p: patch at position p;      P: projector onto eigenvectors of C above the noise

Neighbouring patches share all but one line of samples. With T_lag(a) the product of the windows of lines a and a + lag,

    C(i, i + lag) = Σ_(a = i)^(i + n - 1) T_lag(a),      C(i + 1, i + 1 + lag) = C(i, i + lag) - T_lag(i) + T_lag(i + n),

which takes a fifth of the arithmetic of one large product. The signal's eigenvalues stand far above the rest, so two or three
steps of subspace iteration find them; where they do not, the full decomposition does.

Subspace iteration: Halko et al. 2011, doi:10.1137/090771806.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

RELATIVE_THRESHOLD = 1e-3  # eigenvalues of the patch correlation below this fraction of the largest are no signal
FIRST_STEPS = 3  # of subspace iteration, before the eigenvalues are looked at
MOST_STEPS = 6  # more take longer than the full decomposition
LEFT_OVER = 1e-5  # of the noise that the iteration may leave in the weakest signal vector


def signal_projector(calibration: Tensor, kernel: Sequence[int]) -> Tensor:
    """Projector P onto the subspace of the patches of `calibration (coil, [kz,] ky, kx)`.

    Eigenvalues of the patch correlation count as signal above the noise bulk, whose upper edge random matrix theory gives in
    units of the (unit) noise variance, and above `RELATIVE_THRESHOLD` of the largest.

    Args:
        calibration: whitened samples.
        kernel: sides of the patches, ([kz,] ky, kx).

    Returns:
        (sides of the patch..., coil) twice, the order of `patch_correlation`.
    """
    correlation, n_patches = patch_correlation(calibration, kernel)
    n_values = correlation.shape[0]
    noise_edge = n_patches * (1 + math.sqrt(n_values / n_patches)) ** 2
    vectors = _signal_vectors(correlation, noise_edge, 2 * math.prod(kernel))
    return (vectors @ vectors.mH).reshape(2 * (*kernel, calibration.shape[0]))


def patch_correlation(calibration: Tensor, kernel: Sequence[int]) -> tuple[Tensor, int]:
    """Correlation C of all patches, (value, value), and the number of patches.

    The values of a patch are ordered (first side, ..., last side, coil).
    """
    width, *rest = kernel
    windows = calibration.conj().resolve_conj().movedim(0, -1)
    for axis, side in enumerate(rest, start=1):
        windows = windows.unfold(axis, side, 1)  # (line, positions..., coil, sides...)
    n_axes = len(rest)
    windows = windows.movedim(n_axes + 1, -1).flatten(n_axes + 1).flatten(1, n_axes).contiguous()
    n_lines, n_positions, n_values = windows.shape
    n = n_lines - width + 1
    correlation = windows.new_empty(width, n_values, width, n_values)
    for lag in range(width):
        block = windows[:n].flatten(0, 1).mH @ windows[lag : lag + n].flatten(0, 1)
        for i in range(width - lag):
            if i > 0:
                block = (
                    block - windows[i - 1].mH @ windows[i - 1 + lag] + windows[i - 1 + n].mH @ windows[i - 1 + n + lag]
                )
            correlation[i, :, i + lag] = block
            correlation[i + lag, :, i] = block.mH
    return correlation.flatten(2).flatten(0, 1), n * n_positions


def _signal_vectors(correlation: Tensor, noise_edge: float, n_sought: int) -> Tensor:
    """Orthonormal eigenvectors of signal, (value, vector); none of an empty image."""
    found = _by_subspace_iteration(correlation, noise_edge, n_sought) if n_sought <= correlation.shape[0] // 3 else None
    if found is None:
        values, vectors = torch.linalg.eigh(correlation)
        found = vectors[:, _is_signal(values, noise_edge)]
    return found


def _by_subspace_iteration(correlation: Tensor, noise_edge: float, n_sought: int) -> Tensor | None:
    """The eigenvectors of signal if there are fewer than `n_sought`, well apart from the rest; else None."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(correlation.shape[0], n_sought, generator=generator, dtype=torch.complex64)
    basis = _step(correlation, start.to(correlation))
    for _ in range(FIRST_STEPS - 1):
        basis = _step(correlation, basis)
    values, vectors = _ritz(correlation, basis)
    signal = _is_signal(values, noise_edge)
    if bool(signal.all()) or not bool(signal.any()):
        return None
    gap = float(values[0].clamp(min=1e-30) / values[signal][0])
    steps = math.ceil(math.log(LEFT_OVER) / math.log(gap)) if gap < 1 else MOST_STEPS + 1
    if steps > MOST_STEPS:
        return None
    if steps > FIRST_STEPS:
        for _ in range(steps - FIRST_STEPS):
            basis = _step(correlation, basis)
        values, vectors = _ritz(correlation, basis)
        signal = _is_signal(values, noise_edge)
    return vectors[:, signal]


def _step(correlation: Tensor, basis: Tensor) -> Tensor:
    return torch.linalg.qr(correlation @ basis)[0]


def _ritz(correlation: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors within a subspace; in double precision, for they span many orders of magnitude."""
    wide = basis.to(torch.complex128)
    values, rotation = torch.linalg.eigh(wide.mH @ (correlation @ basis).to(torch.complex128))
    return values, (wide @ rotation).to(basis.dtype)


def _is_signal(values: Tensor, noise_edge: float) -> Tensor:
    """Which eigenvalues, ascending, are signal: the largest at least, unless there is nothing at all."""
    largest = float(values[-1])
    threshold = min(max(noise_edge, RELATIVE_THRESHOLD * largest), largest)
    return (values >= threshold) & (values > 0)
