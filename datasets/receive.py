"""k-space as the coils receive it: sums over the small grid, no raster of the scan's own in between.

    s_c(kx, ky) = ∫ I_e(ky)(x, y) S_c(x, y) exp(-2πi (kx x + ky y)) dx dy

Every line sees the image of the echo that reads it, so relaxation along the train is exact. The grid holds a wider band than is
read, so the sums are the integrals. When the object has moved by d, a line is received as S(x + d) around it: the coils stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.datasets.echo_images import EchoImages
from knerve.datasets.slice_stack import ScanGrid
from knerve.datasets.smooth_maps import SmoothMaps
from knerve.datasets.tissue_images import TissueImages

Real = NDArray[np.float64]
Index = NDArray[np.int64]


def fourier_sum(frequency: Real, place_mm: Real) -> Tensor:
    """Matrix (frequency, place) that turns samples at evenly spaced places into their Fourier integral, complex64."""
    step = place_mm[1] - place_mm[0]
    return torch.from_numpy(step * np.exp(-2j * np.pi * np.outer(frequency, place_mm))).to(torch.complex64)


def received_maps(
    parts: Sequence[EchoImages], images: TissueImages, coils: SmoothMaps, moved_mm: tuple[float, float] = (0.0, 0.0)
) -> list[Tensor]:
    """(coil, y, x) for each part: what the coils hear of its pixels, which are seen displaced by their chemical shift.

    Args:
        parts: from `echo_images`.
        images: the slice.
        coils: sensitivities of the plane.
        moved_mm: how far the object lies from where it was drawn, along read and phase.
    """
    along_read, along_phase = moved_mm
    return [coils.at(images.x_mm - part.shift_mm + along_read, images.y_mm + along_phase) for part in parts]


def receive_lines(
    parts: Sequence[EchoImages], maps: Sequence[Tensor], images: TissueImages, ky: Real, echoes: Index
) -> Tensor:
    """Lines before their readout, (coil, line, x): encoded along ky, not yet along kx.

    Args:
        parts: from `echo_images`.
        maps: from `received_maps`, one for each part.
        images: the slice.
        ky: (line), cycles per mm.
        echoes: (line): the echo that reads it.
    """
    encode = fourier_sum(ky, images.y_mm)
    n_coils = maps[0].shape[0]
    lines = torch.empty(n_coils, len(ky), len(images.x_mm), dtype=torch.complex64)
    heard = torch.empty(len(images.y_mm), len(images.x_mm), dtype=torch.complex64)
    for echo in np.unique(echoes):
        which = torch.from_numpy(np.flatnonzero(echoes == echo))
        encode_echo = encode[which]
        for coil in range(n_coils):  # one at a time: it stays in the cache
            torch.mul(maps[0][coil], parts[0].echoes[echo], out=heard)
            for part, sensitivity in zip(parts[1:], maps[1:], strict=True):
                heard.addcmul_(sensitivity[coil], part.echoes[echo])
            lines[coil, which] = encode_echo @ heard
    return lines


def read_out(lines: Tensor, images: TissueImages, grid: ScanGrid) -> Tensor:
    """Readouts (coil, line, kx) of lines (coil, line, x), per mm of slice thickness times the thickness."""
    return lines @ (fourier_sum(grid.kx, images.x_mm).T * grid.thickness_mm)


def motion_ramp(grid: ScanGrid, ky: Real, moved_mm: tuple[float, float]) -> Tensor:
    """(line, kx): what displacement of the object by `moved_mm` along read and phase multiplies its lines with."""
    turns = grid.kx[None, :] * moved_mm[0] + ky[:, None] * moved_mm[1]
    return torch.from_numpy(np.exp(-2j * np.pi * turns)).to(torch.complex64)


def fully_sampled_images(lines: Tensor, images: TissueImages, grid: ScanGrid) -> Tensor:
    """Images of every coil (coil, y, x) from all lines (coil, ky, x) of the grid, as an inverse FFT of the readouts gives.

    Scaled as the orthonormal transform of the whole encoded matrix, cropped to the image.
    """
    x_mm, y_mm = grid.image_axes_mm
    to_columns = _inverse(grid.kx, x_mm) @ fourier_sum(grid.kx, images.x_mm)
    return _inverse(grid.ky, y_mm) @ (lines @ (to_columns.T * grid.thickness_mm))


def _inverse(frequency: Real, place_mm: Real) -> Tensor:
    """Matrix (place, frequency) of the orthonormal inverse transform."""
    turns = np.exp(2j * np.pi * np.outer(place_mm, frequency)) / np.sqrt(len(frequency))
    return torch.from_numpy(turns).to(torch.complex64)
