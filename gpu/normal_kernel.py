"""One gradient step of a 2-D SENSE problem in hybrid space, fused so that only images and sensitivities pass through memory.

    z = x + β (x - x_before),      target = z - step · (Sᴴ F⁻¹ w F S z + μ·i Im z - right),      w: counts of the ky lines

Sixteen columns at a time go through all coils; coil images live in the core's own cache. Images may have fewer rows than there
are lines: nothing is seen beyond them. The plain version, which explains it and is its oracle, is `CartesianEncoding.normal`.
"""

from __future__ import annotations

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lane_fft import fft_plan, transform
from knerve.gpu.lanes import LANES, load, splat, store
from knerve.gpu.workers import spread

Real = NDArray[np.float32]
FEWEST_BLOCKS = 2  # of columns that are worth a thread


class GradientStep:
    """The step for one slice; images are planes, float32 (set, 2, columns rounded up to LANES, y), real part first.

    Args:
        maps: complex64 (x, set, coil, y).
        counts: (ky), centred; at least as many as rows y.
        imaginary_penalty: μ.
    """

    def __init__(self, maps: Tensor, counts: Tensor, imaginary_penalty: float) -> None:
        self.n_columns, n_sets, n_coils, self.n_rows = maps.shape
        self.n_blocks = -(-self.n_columns // LANES)
        self.planes_shape = (n_sets, 2, self.n_blocks * LANES, self.n_rows)
        padded = torch.zeros(self.n_blocks * LANES, n_sets, n_coils, self.n_rows, dtype=torch.complex64)
        padded[: self.n_columns] = maps
        by_block = torch.view_as_real(padded).unflatten(0, (self.n_blocks, LANES))  # (block, lane, set, coil, y, part)
        self._maps: Real = by_block.permute(0, 2, 3, 5, 4, 1).contiguous().numpy()
        self._power: Real = (torch.fft.ifftshift(counts.to(torch.float32)) / len(counts)).numpy()
        self._plan = fft_plan(len(counts))
        self._penalty = np.float32(imaginary_penalty)
        self._local = threading.local()

    def planes(self, image: Tensor) -> Real:
        """An image (x, set, y) as planes."""
        planes = torch.zeros(self.planes_shape)
        planes[:, :, : self.n_columns] = torch.view_as_real(image).permute(1, 3, 0, 2)
        return planes.numpy()

    def image(self, planes: Real) -> Tensor:
        """Planes as an image (x, set, y)."""
        parts = torch.from_numpy(planes)[:, :, : self.n_columns].permute(2, 0, 3, 1).contiguous()
        return torch.view_as_complex(parts)

    def __call__(self, x: Real, before: Real, momentum: float, right: Real, step: float, target: Real) -> None:
        """Fill `target` with the image after the step from x, which `before` was before."""

        def some_blocks(start: int, stop: int) -> None:
            _gradient_blocks(
                start,
                stop,
                x,
                before,
                np.float32(momentum),
                right,
                np.float32(step),
                self._penalty,
                self._maps,
                self._power,
                self._plan.radices,
                self._plan.cosines,
                self._plan.sines,
                *self._scratch(),
                target,
            )

        spread(some_blocks, self.n_blocks, FEWEST_BLOCKS)

    def _scratch(self) -> tuple[Real, Real]:
        """This thread's coil images (4, ky · LANES) and images (set, 4, y · LANES), made once."""
        if not hasattr(self._local, "scratch"):
            coil_images = np.empty((4, len(self._power) * LANES), np.float32)
            self._local.scratch = coil_images, np.empty((self.planes_shape[0], 4, self.n_rows * LANES), np.float32)
        scratch: tuple[Real, Real] = self._local.scratch
        return scratch


@kernel
def _gradient_blocks(
    start: int,
    stop: int,
    x: Real,
    before: Real,
    momentum: np.float32,
    right: Real,
    step: np.float32,
    penalty: np.float32,
    maps: Real,
    power: Real,
    radices: NDArray[np.int64],
    cosines: Real,
    sines: Real,
    coil_images: Real,
    images: Real,
    target: Real,
) -> None:
    n_sets, n_coils, n = maps.shape[1], maps.shape[2], len(power)
    a_re, a_im, b_re, b_im = coil_images[0], coil_images[1], coil_images[2], coil_images[3]
    for block in range(start, stop):
        columns = slice(block * LANES, (block + 1) * LANES)
        for s in range(n_sets):
            for part in range(2):
                _extrapolated(x[s, part, columns], before[s, part, columns], momentum, images[s, part])
                images[s, 2 + part, :] = 0
        for coil in range(n_coils):
            for s in range(n_sets):
                _expand(maps[block, s, coil], images[s, 0], images[s, 1], a_re, a_im, s > 0)
            re, im, other_re, other_im = a_re, a_im, b_re, b_im
            for direction in range(2):  # one call of the transform, not two: it is compiled into this kernel
                if direction == 1:
                    _weigh(power, re, im)
                    # exchanging real and imaginary parts turns the transform around
                    re, im, other_re, other_im = im, re, other_im, other_re
                if transform(re, im, other_re, other_im, n, radices, cosines, sines):
                    re, im, other_re, other_im = other_re, other_im, re, im
            for s in range(n_sets):
                _combine(maps[block, s, coil], im, re, images[s, 2], images[s, 3])
        for s in range(n_sets):
            for part in range(2):
                bend = penalty if part == 1 else np.float32(0)
                _stepped(
                    images[s, part],
                    images[s, 2 + part],
                    right[s, part, columns],
                    step,
                    bend,
                    target[s, part, columns],
                )


@kernel
def _extrapolated(x: Real, before: Real, momentum: np.float32, z: Real) -> None:
    """Image z (y · LANES) from x and before (LANES, y)."""
    for lane in range(LANES):
        row, old = x[lane], before[lane]
        for y in range(len(row)):
            z[y * LANES + lane] = row[y] + momentum * (row[y] - old[y])


@kernel
def _stepped(z: Real, normal: Real, right: Real, step: np.float32, penalty: np.float32, target: Real) -> None:
    """Target (LANES, y) = z - step (normal + penalty z - right)."""
    keep = np.float32(1) - step * penalty
    for lane in range(LANES):
        row, out = right[lane], target[lane]
        for y in range(len(row)):
            i = y * LANES + lane
            out[y] = keep * z[i] - step * (normal[i] - row[y])


@kernel
def _expand(maps: Real, z_re: Real, z_im: Real, a_re: Real, a_im: Real, adds: bool) -> None:
    """Coil image a = map · z, zero beyond the rows of z, or a += map · z for a further set; maps (2, y, LANES)."""
    m_re, m_im = maps[0].reshape(maps[0].size), maps[1].reshape(maps[1].size)
    for i in range(0, len(z_re), LANES):
        m, k, u, v = load(m_re, i), load(m_im, i), load(z_re, i), load(z_im, i)
        re, im = m * u - k * v, m * v + k * u
        if adds:
            re, im = re + load(a_re, i), im + load(a_im, i)
        store(a_re, i, re)
        store(a_im, i, im)
    if not adds:
        a_re[len(z_re) :] = 0
        a_im[len(z_re) :] = 0


@kernel
def _weigh(power: Real, a_re: Real, a_im: Real) -> None:
    for k in range(len(power)):
        w = splat(power[k])
        store(a_re, k * LANES, w * load(a_re, k * LANES))
        store(a_im, k * LANES, w * load(a_im, k * LANES))


@kernel
def _combine(maps: Real, c_re: Real, c_im: Real, sum_re: Real, sum_im: Real) -> None:
    """Sum += conj(map) · coil image."""
    m_re, m_im = maps[0].reshape(maps[0].size), maps[1].reshape(maps[1].size)
    for i in range(0, len(sum_re), LANES):
        m, k, u, v = load(m_re, i), load(m_im, i), load(c_re, i), load(c_im, i)
        store(sum_re, i, load(sum_re, i) + m * u + k * v)
        store(sum_im, i, load(sum_im, i) + m * v - k * u)
