"""The built-in demo scan: a simple knee, 16 coils, variable-density R = 3, as an ISMRMRD file that holds its own truth.

The scan navigates a needle: 552 x 484 pixels of 0.29 x 0.33 mm, slices of 3 mm, echo trains of 15, 33 s. The object is
continuous (drawn at three times the image's resolution, pixels by covered area), so what is reconstructed is not what
was simulated. Left out: relaxation during the echo train, field inhomogeneity, chemical shift, motion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.datasets.coil_array import LegArray, noise_mixing, on_raster
from knerve.datasets.demo_header import demo_header
from knerve.datasets.mrd_writer import Readouts, flag_bits, new_heads, write_mrd
from knerve.datasets.simple_knee import SIGNAL, knee_section, render
from knerve.gpu.fourier import resize_centred, to_image

SUPERSAMPLING = 3
OVERSAMPLING = 2  # along the readout
NOISE_COUPLING = 0.13  # neighbouring channels correlate by about twice this
N_NOISE_READOUTS = 16
FOV_MM = 160.0
SLICE_MM, GAP_MM = 3.0, 0.3
ECHO_TRAIN = 15
TR_MS = 3000.0
SAMPLE_TIME_US, NOISE_SAMPLE_TIME_US = 4.0, 5.0
KNEE_POSITION_MM = (-92.0, 12.5, 0.0)  # LPS: a right knee lies to the right of the magnet's axis
EDGE_DENSITY = 0.35  # of the pattern at the edge of k-space, over the rise towards the centre
STAMPS_PER_MS = 1 / 2.5
NOISE, FIRST_IN_SLICE, LAST_IN_SLICE, CALIBRATION_AND_IMAGING, LAST_IN_MEASUREMENT = 19, 7, 8, 21, 25


@dataclass(frozen=True)
class Section:
    """One slice without noise: sampled lines (line, coil, kx) and its truth as coil-combined images (y, x)."""

    lines: Tensor
    truth_rss: Tensor
    truth_snr: Tensor


def write_demo_scan(
    path: Path,
    *,
    n_slices: int = 3,
    seed: int = 0,
    matrix: tuple[int, int] = (552, 484),
    acceleration: float = 3.0,
    n_calibration: int = 32,
    n_coils: int = 16,
    muscle_snr: float = 13.0,
) -> None:
    """Simulate the demo scan and write it as an ISMRMRD file.

    The file also holds the truth, fully sampled and free of noise, magnitude (slice, y, x) float32 on the reconSpace grid:
    `truth/rss`, root sum of squares of the channels in raw units, and `truth/snr`, of the whitened channels in units of the
    noise that the real part of a fully sampled pixel has.

    Args:
        path: file to make.
        n_slices: slices, 3.3 mm apart.
        seed: of the pattern, the texture and the noise; the same seed gives the same file.
        matrix: pixels along readout and phase encode; the field of view stays 160 mm.
        acceleration: grid lines over lines sampled; the count is exact (rounded up).
        n_calibration: fully sampled lines about the centre, among those counted.
        n_coils: channels.
        muscle_snr: signal-to-noise ratio of muscle in a fully sampled image, mean over the leg.

    Raises:
        OutputError: the file cannot be written.
    """
    generator = torch.Generator().manual_seed(seed)
    array, mixing = LegArray(n_coils=n_coils), noise_mixing(n_coils, NOISE_COUPLING, generator)
    lines = variable_density_lines(matrix[1], math.ceil(matrix[1] / acceleration), n_calibration, generator)
    levels = slice_levels_mm(n_slices)
    sections = [simulate_section(array, mixing, matrix, level, lines, seed) for level in levels]
    noise_level = _noise_level(array, mixing, muscle_snr)

    def noise(shape: tuple[int, ...], dwell_us: float) -> Tensor:
        """Correlated noise (readout, coil, sample); a longer dwell time lets less through."""
        white = torch.randn(shape, generator=generator, dtype=torch.complex64) * math.sqrt(
            2 * SAMPLE_TIME_US / dwell_us
        )
        return torch.einsum("cd,rds->rcs", mixing, white) * noise_level

    n_samples = matrix[0] * OVERSAMPLING
    noise_readouts = noise((N_NOISE_READOUTS, n_coils, n_samples), NOISE_SAMPLE_TIME_US).numpy()
    order = readout_order(len(lines), n_slices)
    imaging = torch.stack([sections[s].lines[i] for s, i in order[:, :2].tolist()])
    imaging += noise(tuple(imaging.shape), SAMPLE_TIME_US)
    blocks = [
        Readouts(noise_readouts, _noise_heads(noise_readouts)),
        Readouts(
            imaging.numpy(), _imaging_heads(imaging.numpy(), order, lines.numpy(), n_calibration, matrix[1], levels)
        ),
    ]
    header = demo_header(
        matrix=matrix,
        oversampling=OVERSAMPLING,
        fov_mm=FOV_MM,
        slice_mm=SLICE_MM,
        n_slices=n_slices,
        n_coils=n_coils,
        acceleration=acceleration,
        echo_train=ECHO_TRAIN,
        tr_ms=TR_MS,
        seed=seed,
    )
    truth = {
        "truth/rss": torch.stack([section.truth_rss for section in sections]).numpy(),
        "truth/snr": torch.stack([section.truth_snr for section in sections]).numpy() / np.float32(noise_level),
    }
    write_mrd(path, header, blocks, arrays=truth)


def variable_density_lines(n_grid: int, n_lines: int, n_centre: int, generator: torch.Generator) -> Tensor:
    """Indices of exactly `n_lines` of `n_grid` lines, in order: all of the centre, the rest at random, denser inwards.

    The outer lines are cut into strata of equal probability and each stratum gives one line, so that the count is exact and
    no gap is much larger than the local density asks for: coils fill small gaps, sparsity wants them irregular.
    """
    n_centre = min(n_centre, n_lines)
    first = n_grid // 2 - n_centre // 2
    outer = torch.cat([torch.arange(first), torch.arange(first + n_centre, n_grid)])
    density = EDGE_DENSITY + (1 - (outer - n_grid // 2).abs() / (n_grid / 2)).to(torch.float64) ** 2
    chance = _chances(density, n_lines - n_centre)
    stratum = (chance.cumsum(0) - chance / 2).floor().clamp(max=n_lines - n_centre - 1)
    lottery = stratum + torch.rand(len(outer), generator=generator, dtype=torch.float64)
    by_stratum = lottery.argsort()
    leads = torch.cat([torch.ones(1, dtype=torch.bool), stratum[by_stratum].diff() > 0])
    drawn = outer[by_stratum[leads]] if n_lines > n_centre else outer[:0]
    return torch.cat([torch.arange(first, first + n_centre), drawn]).sort().values


def _chances(density: Tensor, n_lines: int) -> Tensor:
    """Probabilities proportional to `density`, none above 1, that sum to `n_lines` (found by bisection)."""
    low, high = 0.0, float(len(density) / density.min())
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if float((density * middle).clamp(max=1).sum()) < n_lines else (low, middle)
    return (density * high).clamp(max=1)


def slice_levels_mm(n_slices: int) -> list[float]:
    """Heights of the slices about the middle of the stack, from the feet up."""
    return [(i - (n_slices - 1) / 2) * (SLICE_MM + GAP_MM) for i in range(n_slices)]


def simulate_section(
    array: LegArray, mixing: Tensor, matrix: tuple[int, int], level_mm: float, lines: Tensor, seed: int
) -> Section:
    """Draw the knee at one level, receive it with every coil, and keep the sampled lines and the truth."""
    x_mm, y_mm = (raster_axis_mm(n) for n in matrix)
    phase = 0.4 + 0.8 * (x_mm[None, :] / FOV_MM) - 1.2 * (y_mm[:, None] / FOV_MM) ** 2  # radian, of the object itself
    magnitude = render(knee_section(level_mm, seed), x_mm, y_mm, seed)
    knee = torch.polar(magnitude, phase.to(torch.float32))
    kspace = torch.stack([kspace_of_raster(knee * heard, matrix) for heard in on_raster(array, x_mm, y_mm, level_mm)])
    images = resize_centred(to_image(kspace, dims=(-2, -1)), -1, matrix[0])
    whitened = torch.linalg.solve(mixing, images.flatten(1)).reshape(images.shape)
    return Section(kspace[:, lines].movedim(1, 0), _root_sum_of_squares(images), _root_sum_of_squares(whitened))


def readout_order(n_lines: int, n_slices: int) -> NDArray[np.int64]:
    """Order of acquisition, (readout, 4): slice, index of the line, echo, shot.

    Lines are cut into as many segments as the train has echoes, so that every echo covers one band of k-space and the
    centre falls on the middle echo. Each shot visits the slices interleaved, odd ones first.
    """
    echoes = np.arange(n_lines) * ECHO_TRAIN // n_lines
    shots = np.arange(n_lines) - np.searchsorted(echoes, echoes)
    slices = [*range(0, n_slices, 2), *range(1, n_slices, 2)]
    rows = [(s, i, echoes[i], shots[i], rank) for rank, s in enumerate(slices) for i in range(n_lines)]
    ordered = sorted(rows, key=lambda row: (row[3], row[4], row[2]))
    return np.array(ordered, dtype=np.int64)[:, :4]


def raster_axis_mm(n: int) -> Tensor:
    """Pixel centres of the fine raster on which the object is drawn, for `n` pixels of the image."""
    fine = n * SUPERSAMPLING
    return (torch.arange(fine, dtype=torch.float64) - fine // 2) * FOV_MM / fine


def kspace_of_raster(raster: Tensor, matrix: tuple[int, int]) -> Tensor:
    """Fourier transform of a fine raster (y, x) at the scan's k-space samples (ky, kx), in units of its orthonormal FFT.

    The fields of view agree along y; along x the raster is padded to the oversampled one. The averaging over a raster
    pixel's area is undone.
    """
    n_x, n_y = matrix[0] * OVERSAMPLING, matrix[1]
    by_line = resize_centred(_centred_fft(raster, 0), 0, n_y)
    padded = resize_centred(by_line, 1, raster.shape[1] * OVERSAMPLING)
    kspace = resize_centred(_centred_fft(padded, 1), 1, n_x)
    averaging_x = torch.sinc((torch.arange(n_x) - n_x // 2) / padded.shape[1])
    averaging_y = torch.sinc((torch.arange(n_y) - n_y // 2) / raster.shape[0])
    return kspace * (math.sqrt(n_x * n_y) / padded.shape[1] / raster.shape[0]) / (averaging_y[:, None] * averaging_x)


def _centred_fft(values: Tensor, dim: int) -> Tensor:
    return torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(values, dim=dim), dim=dim), dim=dim)


def _root_sum_of_squares(images: Tensor) -> Tensor:
    return images.abs().square().sum(0).sqrt()


def _noise_level(array: LegArray, mixing: Tensor, muscle_snr: float) -> float:
    """Standard deviation of the real part of a whitened sample that gives muscle its signal-to-noise ratio."""
    axis = torch.linspace(-60, 60, 25, dtype=torch.float64)
    maps = array.sensitivities(axis, axis, 0.0)
    leg = (axis[None, :] / 63).square() + (axis[:, None] / 60).square() < 1
    combined = _root_sum_of_squares(torch.linalg.solve(mixing, maps[:, leg]))
    return SIGNAL["muscle"] * float(combined.mean()) / muscle_snr


def _noise_heads(samples: NDArray[np.complex64]) -> NDArray[np.void]:
    heads = new_heads(samples, sample_time_us=NOISE_SAMPLE_TIME_US)
    heads["flags"] = flag_bits(NOISE)
    heads["scan_counter"] = np.arange(len(heads))
    return heads


def _imaging_heads(
    samples: NDArray[np.complex64],
    order: NDArray[np.int64],
    lines: NDArray[np.int64],
    n_calibration: int,
    n_grid: int,
    levels_mm: list[float],
) -> NDArray[np.void]:
    heads = new_heads(samples, sample_time_us=SAMPLE_TIME_US)
    slices, line, echoes, shots = order[:, 0], lines[order[:, 1]], order[:, 2], order[:, 3]
    first = n_grid // 2 - n_calibration // 2
    in_centre = (line >= first) & (line < first + n_calibration)
    heads["flags"][in_centre] |= np.uint64(flag_bits(CALIBRATION_AND_IMAGING))
    for s in range(len(levels_mm)):
        mine = np.flatnonzero(slices == s)
        heads["flags"][mine[0]] |= np.uint64(flag_bits(FIRST_IN_SLICE))
        heads["flags"][mine[-1]] |= np.uint64(flag_bits(LAST_IN_SLICE))
    heads["flags"][-1] |= np.uint64(flag_bits(LAST_IN_MEASUREMENT))
    heads["scan_counter"] = N_NOISE_READOUTS + np.arange(len(heads))
    heads["idx"]["kspace_encode_step_1"] = line
    heads["idx"]["slice"] = slices
    heads["idx"]["segment"] = echoes
    within_tr = np.searchsorted(np.unique(slices), slices) / len(levels_mm)
    heads["acquisition_time_stamp"] = (shots + within_tr) * TR_MS * STAMPS_PER_MS
    heads["position"] = np.array(KNEE_POSITION_MM) + np.array([(0.0, 0.0, level) for level in levels_mm])[slices]
    heads["read_dir"], heads["phase_dir"], heads["slice_dir"] = np.eye(3)
    return heads
