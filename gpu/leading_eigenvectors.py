"""Eigenvectors of largest eigenvalue of many small Hermitian matrices with eigenvalues of 0 to 1: power iteration and deflation.

    v ← Q v / ‖Q v‖ from one start for all matrices;   then the same with Q - λ v vᴴ for the next vector

Sixteen matrices go side by side, one in each lane, and stop when the residual ‖Q v - λ v‖ of all is small. The plain version
takes Q^96 instead, through squares. Where two eigenvalues are equal the vectors are any basis of their plane, but one that
varies smoothly from matrix to matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lanes import LANES, load, splat, store
from knerve.gpu.workers import spread

SQUARINGS = 4  # Q^16 separates the first two eigenvalues from the rest
POWER_STEPS = 6
MOST_STEPS = 2**SQUARINGS * POWER_STEPS
STEPS_PER_LOOK = 4  # between two looks at the residual; even, so that v ends up in its own place
TOLERANCE = np.float32(1e-6)  # of the residual
TINY = np.float32(1e-30)
FEWEST_BLOCKS = 8  # of matrices that are worth a thread

Real = NDArray[np.float32]


def leading_eigenvectors(planes: Tensor, negligible: Sequence[float]) -> tuple[Tensor, Tensor]:
    """As many eigenvectors as `negligible` has entries.

    Args:
        planes: real and imaginary parts of the matrices, float32 (row, coil, coil, 2, place); the number of places is a
            multiple of `LANES`.
        negligible: for each vector, an eigenvalue below which it is not wanted. Where sixteen neighbours are certain to lie
            below, their vectors may be left at zero, and the eigenvalue is then only known to be no larger.

    Returns:
        vectors (row, place, coil, vector) complex64 of unit norm and eigenvalues (row, place, vector) float32.
    """
    n_rows, n_coils, _, _, n_places = planes.shape
    n_vectors = len(negligible)
    if planes.is_cuda:
        return leading_eigenvectors_plain(planes, n_vectors)
    vectors = np.zeros(n_vectors * n_coils * 2 * n_rows * n_places, np.float32)
    values = np.empty(n_vectors * n_rows * n_places, np.float32)
    begin = _start(n_coils).numpy()
    start_re, start_im = np.ascontiguousarray(begin.real), np.ascontiguousarray(begin.imag)
    flat = planes.flatten().numpy()
    limits = np.array(negligible, np.float32)

    def some_blocks(start: int, stop: int) -> None:
        scratch = np.empty((2 * (n_coils + 2) * n_coils + 2) * LANES, np.float32)
        _iterate_blocks(start, stop, flat, n_rows, n_coils, start_re, start_im, limits, scratch, vectors, values)

    spread(some_blocks, n_rows * n_places // LANES, FEWEST_BLOCKS)
    parts = torch.from_numpy(vectors).reshape(n_vectors, n_coils, 2, n_rows, n_places)
    complex_parts = torch.view_as_complex(parts.permute(3, 4, 1, 0, 2).contiguous())
    return complex_parts, torch.from_numpy(values).reshape(n_vectors, n_rows, n_places).movedim(0, -1)


def leading_eigenvectors_plain(planes: Tensor, n_vectors: int) -> tuple[Tensor, Tensor]:
    """The same on any device, with all vectors found."""
    q = torch.complex(planes[..., 0, :], planes[..., 1, :]).movedim(-1, 1)  # (row, place, coil, coil)
    vectors, values = [], []
    for _ in range(n_vectors):
        vector = _power_iteration(q)
        value = torch.linalg.vecdot(vector, (q @ vector[..., None])[..., 0]).real
        q = q - value[..., None, None] * (vector[..., :, None] * vector[..., None, :].conj())
        vectors.append(vector)
        values.append(value)
    return torch.stack(vectors, dim=-1), torch.stack(values, dim=-1)


def _power_iteration(q: Tensor) -> Tensor:
    """Unit eigenvector of largest eigenvalue, (..., coil), of the matrices q (..., coil, coil)."""
    power = q
    for _ in range(SQUARINGS):
        power = power @ power
        power = power / torch.linalg.matrix_norm(power, keepdim=True).clamp(min=1e-30)
    vector = _start(q.shape[-1]).to(q).expand(q.shape[:-1])[..., None]
    for _ in range(POWER_STEPS):
        vector = power @ vector
        vector = vector / torch.linalg.vector_norm(vector, dim=-2, keepdim=True).clamp(min=1e-30)
    return vector[..., 0]


def _start(n_coils: int) -> Tensor:
    """A fixed start that no eigenvector of a real array is orthogonal to, (coil,)."""
    return torch.exp(1j * torch.arange(n_coils, dtype=torch.float32))


@kernel
def _iterate_blocks(
    start: int,
    stop: int,
    planes: Real,
    n_rows: int,
    n_coils: int,
    start_re: Real,
    start_im: Real,
    negligible: Real,
    scratch: Real,
    vectors: Real,
    values: Real,
) -> None:
    """Blocks of sixteen places; planes, vectors and values are flat."""
    n_cells, n_line = 2 * n_coils * n_coils, 2 * n_coils * LANES
    q = scratch[: n_cells * LANES]
    v = scratch[n_cells * LANES : n_cells * LANES + n_line]
    w = scratch[n_cells * LANES + n_line : n_cells * LANES + 2 * n_line]
    work = scratch[n_cells * LANES + 2 * n_line :]
    n_all = len(planes) // n_cells
    n_places = n_all // n_rows
    for block in range(start, stop):
        row, first = divmod(block * LANES, n_places)
        for cell in range(n_cells):
            store(q, cell * LANES, load(planes, (row * n_cells + cell) * n_places + first))
        for k in range(len(negligible)):
            # a Hermitian matrix has no eigenvalue beyond its Frobenius norm
            largest = _root_sum_of_squares(q, work)
            if largest >= negligible[k]:
                _iterate(q, n_coils, start_re, start_im, v, w, work)
                for part in range(2 * n_coils):
                    store(vectors, (k * 2 * n_coils + part) * n_all + block * LANES, load(v, part * LANES))
                _deflate(q, n_coils, v, work)
            store(values, k * n_all + block * LANES, load(work, 0))


@kernel
def _iterate(q: Real, n_coils: int, start_re: Real, start_im: Real, v: Real, w: Real, work: Real) -> None:
    """Unit eigenvectors into v, eigenvalues into the first lanes of work."""
    for i in range(n_coils):
        store(v, 2 * i * LANES, splat(start_re[i]))
        store(v, (2 * i + 1) * LANES, splat(start_im[i]))
    for _ in range(MOST_STEPS // STEPS_PER_LOOK):
        for step in range(STEPS_PER_LOOK + 1):
            if step == STEPS_PER_LOOK:
                _root_sum_of_squares(v, work)
                _divide(v, work)
            _apply(q, n_coils, v, w)
            if step < STEPS_PER_LOOK:
                v, w = w, v
        if _is_eigenvector(v, w, work):
            break


@kernel
def _apply(q: Real, n_coils: int, v: Real, w: Real) -> None:
    """Put Q v into w, in every lane."""
    for i in range(n_coils):
        zero = splat(np.float32(0))
        a, b, c, d = zero, zero, zero, zero
        for j in range(n_coils):
            at = 2 * (i * n_coils + j) * LANES
            q_re, q_im = load(q, at), load(q, at + LANES)
            v_re, v_im = load(v, 2 * j * LANES), load(v, (2 * j + 1) * LANES)
            a = a + q_re * v_re
            b = b + q_im * v_im
            c = c + q_re * v_im
            d = d + q_im * v_re
        store(w, 2 * i * LANES, a - b)
        store(w, (2 * i + 1) * LANES, c + d)


@kernel
def _root_sum_of_squares(numbers: Real, work: Real) -> np.float32:
    """√Σ|.|² of every lane, into the first lanes of work; returns the largest."""
    total = splat(np.float32(0))
    for i in range(0, len(numbers), LANES):
        number = load(numbers, i)
        total = total + number * number
    store(work, 0, total)
    largest = np.float32(0)
    for lane in range(LANES):
        work[lane] = np.sqrt(work[lane])
        largest = max(largest, work[lane])
    return largest


@kernel
def _divide(v: Real, work: Real) -> None:
    """Divide v by the first lanes of work."""
    for lane in range(LANES):
        work[lane] = np.float32(1) / max(work[lane], TINY)
    factor = load(work, 0)
    for i in range(0, len(v), LANES):
        store(v, i, factor * load(v, i))


@kernel
def _is_eigenvector(v: Real, w: Real, work: Real) -> bool:
    """Whether w = Q v is a multiple of v in all lanes; Rayleigh's quotients go to the first lanes of work."""
    quotient, square = splat(np.float32(0)), splat(np.float32(0))
    for i in range(0, len(v), LANES):
        quotient = quotient + load(v, i) * load(w, i)
    for i in range(0, len(v), LANES):
        error = load(w, i) - quotient * load(v, i)
        square = square + error * error
    store(work, 0, quotient)
    store(work, LANES, square)
    largest = np.float32(0)
    for lane in range(LANES):
        largest = max(largest, work[LANES + lane])
    return bool(largest <= TOLERANCE**2)


@kernel
def _deflate(q: Real, n_coils: int, v: Real, work: Real) -> None:
    """Take λ v vᴴ out of the matrices, λ in the first lanes of work."""
    value = load(work, 0)
    for i in range(n_coils):
        x, y = value * load(v, 2 * i * LANES), value * load(v, (2 * i + 1) * LANES)
        for j in range(n_coils):
            at = 2 * (i * n_coils + j) * LANES
            x_j, y_j = load(v, 2 * j * LANES), load(v, (2 * j + 1) * LANES)
            store(q, at, load(q, at) - (x * x_j + y * y_j))
            store(q, at + LANES, load(q, at + LANES) - (y * x_j - x * y_j))
