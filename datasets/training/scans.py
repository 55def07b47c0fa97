"""An object scanned with random coils, noise and lines, and taken through the reconstruction up to where the network starts.

What the network learns from is what `knerve.recon` makes of the data, with its own estimates of sensitivities, coil
compression and compressed sensing: their errors are part of the training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from knerve.datasets.coil_array import LegArray
from knerve.datasets.training.lines import training_lines
from knerve.gpu.fourier import resize_centred, to_image, to_kspace
from knerve.recon.calibration import READOUT_SAMPLES, estimate_sensitivities
from knerve.recon.coils import compress_coils, compression_matrix
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.espirit import Sensitivities
from knerve.recon.hybrid import HybridScan
from knerve.recon.regularisation import typical_signal
from knerve.recon.settings import Settings
from knerve.recon.transform_length import pad_phase_encodes

Real = NDArray[np.float64]

N_COILS = (4, 6, 8, 8, 12, 12, 16, 16, 16, 20, 24, 32)
MOST_R = 7.5
MOST_R_PER_COIL = 0.8
LEAST_SIGNAL, MOST_SIGNAL = 6.0, 180.0  # typical signal over noise where every line is read
PHASE_ALONG_RINGS = 0.1  # share of scans that encode the phase along the array's axis, where its coils differ least
TILT = 0.15  # standard deviation of each component
COARSE = 40  # points along a side at which sensitivities are computed
BAND = (0.72, 0.92)  # part of the object's k-space that is read


@dataclass(frozen=True)
class TrainingScan:
    """One slice as the network meets it.

    Attributes:
        encoding: A.
        right_side: Aᴴ y, (1, x, 1, y).
        truth: (x, y), what all lines without noise would have shown.
        sensitivities: of the virtual coils.
    """

    encoding: CartesianEncoding
    right_side: Tensor
    truth: Tensor
    sensitivities: Sensitivities


def training_scan(picture: Tensor, pixel_mm: float, settings: Settings, random: np.random.Generator) -> TrainingScan:
    """Scan an object (y, x) complex64."""
    n_y, n_x = (2 * round(random.uniform(*BAND) * n / 2) for n in picture.shape)
    heard = _coils(picture.shape, pixel_mm, random) * picture
    clean = resize_centred(resize_centred(to_kspace(heard, (-2, -1)), -2, n_y), -1, n_x)
    clean = clean * _blur(n_y, random)[:, None]
    images = to_image(clean, (-2, -1))
    signal = float(typical_signal(torch.linalg.vector_norm(images, dim=0)[None]))
    wanted = math.exp(random.uniform(math.log(LEAST_SIGNAL), math.log(MOST_SIGNAL)))
    clean = clean * (wanted / max(signal, 1e-12))
    generator = torch.Generator().manual_seed(int(random.integers(2**62)))
    noisy = clean + torch.randn(clean.shape, generator=generator, dtype=torch.complex64)
    counts, calibration = training_lines(n_y, min(MOST_R, MOST_R_PER_COIL * len(clean)), random)
    block = noisy[:, slice(*calibration)]
    width = min(READOUT_SAMPLES, n_x)
    block = block[..., n_x // 2 - width // 2 : n_x // 2 - width // 2 + width]
    columns = [to_image(each, (-1,)).movedim(-1, 0)[None] for each in (noisy * counts[:, None], clean)]
    scan = HybridScan(columns[0], counts[None], block[None].contiguous(), (1.0, 1.0, 1.0))
    return _prepared(scan, columns[1], settings)


def _prepared(scan: HybridScan, clean: Tensor, settings: Settings) -> TrainingScan:
    """The same steps as `pipeline.reconstruct_slices`; `clean (1, x, coil, ky)` is every line without noise."""
    scan = pad_phase_encodes(scan)
    length = scan.kspace.shape[-1]
    clean = resize_centred(clean, -1, length)
    maps, _ = estimate_sensitivities(scan, settings)
    matrix = compression_matrix(maps, settings)
    if matrix is not None:
        clean = matrix @ clean
    scan, maps = compress_coils(scan, maps, settings)
    encoding = CartesianEncoding(maps.maps, scan.counts, added_lines=scan.added_lines)
    right_side = encoding.adjoint_of_data(scan)
    every_line = CartesianEncoding(maps.maps, torch.ones_like(scan.counts))
    strength = maps.strength.clamp(min=0.1)
    truth = every_line.adjoint(clean) / strength.square()
    return TrainingScan(encoding, right_side, truth[0, :, 0], maps)


def _blur(n_y: int, random: np.random.Generator) -> Tensor:
    """What an echo train does to the lines (ky): a smooth fall, to both sides or from one end to the other."""
    position = torch.linspace(-1, 1, n_y)
    fall = random.uniform(0, 1.2) if random.random() < 0.7 else 0.0
    return torch.exp(-fall * (position.abs() if random.random() < 0.5 else (position + 1) / 2))


def _coils(shape: torch.Size, pixel_mm: float, random: np.random.Generator) -> Tensor:
    """Sensitivities (coil, y, x) of an array that lies anyhow around the object."""
    n_coils = int(random.choice(N_COILS))
    n_rings = int(random.integers(1, 4)) if n_coils > 6 else 1
    radius_mm = random.uniform(75, 120)
    pitch_mm = 2 * math.pi * radius_mm * n_rings / n_coils
    loop_mm = float(np.clip(random.uniform(0.45, 0.7) * pitch_mm, 18, 60))
    array = LegArray(n_coils, n_rings, radius_mm, random.uniform(1.2, 2.0) * loop_mm, loop_mm)
    read, phase = _directions(random)
    centre = random.normal(0, 10, 3)
    sides = [torch.linspace(-n * pixel_mm / 2, n * pixel_mm / 2, COARSE, dtype=torch.float64) for n in shape]
    y, x = torch.meshgrid(*sides, indexing="ij")
    points = torch.from_numpy(centre) + x[..., None] * torch.from_numpy(read) + y[..., None] * torch.from_numpy(phase)
    maps = torch.view_as_real(array.at_points(points)).movedim(-1, 1)
    fine = interpolate(maps, tuple(shape), mode="bicubic", align_corners=True)
    return torch.complex(fine[:, 0].contiguous(), fine[:, 1].contiguous())


def _directions(random: np.random.Generator) -> tuple[Real, Real]:
    """Unit vectors along which readout and phase are encoded; the axis of the array's rings is z."""
    turn = random.uniform(0, 2 * math.pi)
    across, other, along = (
        np.array([math.cos(turn), math.sin(turn), 0]),
        np.array([-math.sin(turn), math.cos(turn), 0]),
        np.array([0, 0, 1.0]),
    )
    if random.random() < PHASE_ALONG_RINGS:
        read, phase = across, along
    else:
        read, phase = (other, across) if random.random() < 0.5 else (along, across)
    phase = phase + random.normal(0, TILT, 3)
    phase /= np.linalg.norm(phase)
    read = read + random.normal(0, TILT, 3)
    read -= (read @ phase) * phase
    return read / np.linalg.norm(read), phase
