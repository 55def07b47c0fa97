"""What becomes of a weak small structure, everywhere in this scan: its gain and its width in the image.

    response = f(y + A d) - f(y),     gain = ⟨d, response⟩ / ⟨d, d⟩ around each spot of d

The data get a lattice of weak spots more, the method runs again, and the difference shows what it makes of each: 1 keeps it, 0
removes it. Linearised about the scan itself, with its own noise, lines and coils, at the strength of the spots; what is weaker
is kept less by methods that shrink, what is stronger more. Costs one reconstruction a lattice (`spots.SHIFTS`). The local
perturbation response of Chan and Haldar 2021, doi:10.1002/mrm.28698.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from knerve.recon.learned.maps.linear import Linear
from knerve.recon.learned.maps.prepared import PreparedSlice
from knerve.recon.learned.maps.refit import Pair, Refit
from knerve.recon.learned.maps.spots import SPACING, Spots, lattices

GAIN_REACH = 3  # pixels around a spot that count
WIDTH_REACH = 8  # pixels in which its edge is looked for
MEASURABLE = 0.15  # of a spot's height: lower remains have no width
SPREAD = SPACING / 3  # pixels: of the weights between spots


@dataclass(frozen=True)
class Response:
    """At every spot; all tensors (spot), NaN where a width cannot be measured.

    Attributes:
        places: int64, (spot, 2).
        gain: of the method.
        reference_gain: of the simpler method.
        width_y: full width at half height along the phase encodes, acquired pixels (true: 2).
        width_x: along the readout.
    """

    places: Tensor
    gain: Tensor
    reference_gain: Tensor
    width_y: Tensor
    width_x: Tensor


def response(slice_: PreparedSlice, refit: Refit, before: Pair, linear: Linear, seed: int) -> Response | None:
    """Measure a slice; None where no spot fits into the object.

    Args:
        slice_: its data.
        refit: the method.
        before: its images of the data as they are.
        linear: for the noise.
        seed: of the lattices.
    """
    image = before.image[0, :, 0]
    parts = []
    for spots in lattices(slice_, image, linear, seed):
        added = slice_.encoding.normal(spots.image[None, :, None])
        after = refit(slice_.encoding, slice_.right_side + added)
        parts.append(
            _measured(spots, (after.image - before.image)[0, :, 0], (after.reference - before.reference)[0, :, 0])
        )
    return Response(*(torch.cat(values).cpu() for values in zip(*parts, strict=True))) if parts else None


def between_spots(places: Tensor, values: Tensor, inside: Tensor) -> Tensor:
    """A map (x, y) from values at spots, by Gaussian weights; NaN values take no part, and outside it is 0.

    Args:
        places: (spot, 2).
        values: (spot).
        inside: bool, (x, y).
    """
    known = torch.isfinite(values)
    x, y = places[known].T.numpy()
    sums, weights = np.zeros(inside.shape), np.zeros(inside.shape)
    np.add.at(sums, (x, y), values[known].numpy())
    np.add.at(weights, (x, y), 1.0)
    sums, weights = (gaussian_filter(part, SPREAD, mode="constant", truncate=6.0) for part in (sums, weights))
    filled = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 1e-12)
    return torch.from_numpy(filled.astype(np.float32)) * inside.cpu()


def _measured(spots: Spots, difference: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
    true, found, plain = (
        spots.windows(image, GAIN_REACH, GAIN_REACH) for image in (spots.image, difference, reference)
    )
    power = true.square().sum((1, 2))
    along_y = spots.windows(difference, 0, WIDTH_REACH)[:, 0] / spots.amplitude[:, None]
    along_x = spots.windows(difference, WIDTH_REACH, 0)[..., 0] / spots.amplitude[:, None]
    return (
        spots.places,
        (true * found).sum((1, 2)) / power,
        (true * plain).sum((1, 2)) / power,
        full_width(along_y) / spots.pixels_per_acquired,
        full_width(along_x),
    )


def full_width(profiles: Tensor) -> Tensor:
    """Full width at half height of profiles (spot, 2 n + 1) about their middle, in pixels; NaN where there is no peak."""
    middle = profiles.shape[1] // 2
    peak = profiles[:, middle, None]
    sides = (profiles[:, middle:], profiles[:, : middle + 1].flip(1))
    width = sum(
        (_half_height(side / peak.clamp(min=1e-6)) for side in sides), torch.zeros(len(profiles)).to(peak.device)
    )
    return torch.where(peak[:, 0] > MEASURABLE, width, torch.nan)


def _half_height(falling: Tensor) -> Tensor:
    """Where profiles (spot, n) that begin at 1 first fall to one half, by linear interpolation; NaN where they never do."""
    below = falling < 0.5
    after = below.int().argmax(1).clamp(min=1)
    rows = torch.arange(len(falling), device=falling.device)
    high, low = falling[rows, after - 1], falling[rows, after]
    place = after - 1 + (high - 0.5) / (high - low).clamp(min=1e-6)
    return torch.where(below.any(1), place, torch.nan)
