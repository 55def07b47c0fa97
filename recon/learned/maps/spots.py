"""Weak spots in a jittered lattice, to be put into the data of a scan: the probe of its local response.

Each is a Gaussian two acquired pixels wide, a few noise standard deviations high at its place, brighter or darker than what lies
there, with the local phase. Jitter and signs keep the lattice from lying on a few lines of k-space only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from knerve.recon.learned.maps.linear import Linear
from knerve.recon.learned.maps.prepared import PreparedSlice

SPACING = 24  # pixels between the spots of one lattice
JITTER = 5  # pixels
SHIFTS = ((0, 0), (12, 12), (12, 0), (0, 12))  # of the lattices: together one spot in every 12 x 12 pixels
SIGMA = 0.85  # acquired pixels: 2 wide at half height
STRENGTH = 4.0  # noise standard deviations
REACH = 5  # pixels around a spot
PHASE_SMOOTHING = 2.0  # pixels


@dataclass(frozen=True)
class Spots:
    """One lattice.

    Attributes:
        image: complex64, (x, y): all of them.
        places: int64, (spot, 2): x and y.
        unit: complex64, (spot): phase and sign.
        amplitude: float32, (spot).
        pixels_per_acquired: along y; the solver's grid may be finer than the acquired one.
    """

    image: Tensor
    places: Tensor
    unit: Tensor
    amplitude: Tensor
    pixels_per_acquired: float

    def windows(self, image: Tensor, reach_x: int, reach_y: int) -> Tensor:
        """The part of an image (x, y) around each spot, freed of the spot's phase and sign: (spot, x, y) float32."""
        x, y = (
            self.places[:, axis, None] + torch.arange(-reach, reach + 1, device=self.places.device)
            for axis, reach in ((0, reach_x), (1, reach_y))
        )
        return (image[x[:, :, None], y[:, None, :]] * self.unit.conj()[:, None, None]).real


def lattices(slice_: PreparedSlice, image: Tensor, linear: Linear, seed: int) -> Iterator[Spots]:
    """The lattices of a slice; none where the object is too small for a spot.

    Args:
        slice_: its data.
        image: (x, y), for the phase.
        linear: for the noise.
        seed: of jitter and signs.
    """
    generator = torch.Generator().manual_seed(seed)
    own = slice_.own_lines
    finer = image.shape[-1] / (own.stop - own.start)
    phase = torch.sgn(_smoothed(image))
    room = _far_inside(slice_.inside & (linear.noise > 0))
    for shift in SHIFTS:
        places = _places(image.shape, shift, generator)
        signs = 2.0 * torch.randint(0, 2, (len(places),), generator=generator) - 1
        places, signs = places.to(image.device), signs.to(image.device)
        kept = room[places[:, 0], places[:, 1]]
        places, signs = places[kept], signs[kept]
        if len(places):
            x, y = places.T
            unit, amplitude = signs * phase[x, y], STRENGTH * linear.noise[x, y]
            yield Spots(_drawn(image.shape, places, unit * amplitude, finer), places, unit, amplitude, finer)


def _drawn(shape: torch.Size, places: Tensor, heights: Tensor, finer: float) -> Tensor:
    offsets = torch.arange(-REACH, REACH + 1, device=places.device)
    profiles = [torch.exp(-0.5 * (offsets / (SIGMA * scale)) ** 2) for scale in (1.0, finer)]
    drawn = torch.zeros(shape, dtype=torch.complex64, device=places.device)
    x, y = places[:, 0, None] + offsets, places[:, 1, None] + offsets
    values = heights[:, None, None] * profiles[0][:, None] * profiles[1]
    return drawn.index_put_((x[:, :, None], y[:, None, :]), values.to(torch.complex64), accumulate=True)


def _places(shape: torch.Size, shift: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Lattice points, (point, 2), far enough from the edges to be drawn."""
    axes = [torch.arange(first + SPACING // 2, n, SPACING) for first, n in zip(shift, shape, strict=True)]
    grid = torch.cartesian_prod(*axes)
    grid = grid + torch.randint(-JITTER, JITTER + 1, grid.shape, generator=generator)
    low, high = 2 * REACH, torch.tensor(shape) - 2 * REACH
    return grid[((grid >= low) & (grid < high)).all(1)]


def _far_inside(inside: Tensor) -> Tensor:
    """Pixels whose whole window of a spot lies inside."""
    outside = (~inside).float()[None, None]
    return torch.nn.functional.max_pool2d(outside, 2 * REACH + 1, 1, REACH)[0, 0] == 0


def _smoothed(image: Tensor) -> Tensor:
    """Blurred, so that the phase is that of the tissue around and not of the noise."""
    parts = torch.view_as_real(image.cpu()).numpy()
    blurred = gaussian_filter(parts, (PHASE_SMOOTHING, PHASE_SMOOTHING, 0))
    return torch.view_as_complex(torch.from_numpy(blurred)).to(image.device)
