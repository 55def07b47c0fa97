"""What training makes small: the error against the truth, and what is lost of weak structures.

    error    ½ ‖x - x₀‖₂ / ‖x_cs - x₀‖₂  +  ½ ‖x - x₀‖₁ / ‖x_cs - x₀‖₁         below 1: better than compressed sensing
             of what lies along the phase of the image around, which magnitudes show
    response of the twin with weak structures more, at each of them: gain = Re⟨d, x' - x⟩ / ⟨d, d⟩
    loss     mean over the structures of (gain of compressed sensing + 0.1 - gain)₊²       only too little is punished

A network that only minimises the error learns to smooth away what is weak and rare: a small nerve.
"""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.recon.learned.unrolled import local_phase

WANTED_MORE = 0.1  # gain than that of compressed sensing
REACH = 3  # pixels around a structure
SMALLEST = 1e-12


def relative_error(image: Tensor, truth: Tensor, start: Tensor, weight: Tensor) -> Tensor:
    """The error loss of images (batch, x, y), weighted with `weight (batch or 1, x, y)`."""
    turned_back = weight * local_phase(start).conj()
    error, before = ((turned_back * (each - truth)).real for each in (image, start))
    square = ((_power(error) + SMALLEST) / _power(before).clamp(min=SMALLEST)).sqrt().mean()
    absolute = (_size(error) / _size(before).clamp(min=SMALLEST)).mean()
    return (square + absolute) / 2


def lost_response(response: Tensor, insert: Tensor, places: Tensor, before: Tensor) -> Tensor:
    """The loss of weak structures.

    Args:
        response: (x, y), image of the twin minus image.
        insert: d, (x, y).
        places: (place, 2) of the structures.
        before: (place), their gains in compressed sensing.
    """
    if len(places) == 0:
        return response.real.new_zeros(())
    wanted = (before.clamp(min=0) + WANTED_MORE).clamp(max=1)
    return (wanted - gains(response, insert, places)).clamp(min=0).square().mean()


def gains(response: Tensor, insert: Tensor, places: Tensor) -> Tensor:
    """Gain (place) of each structure of an insert (x, y)."""
    offsets = torch.arange(-REACH, REACH + 1)
    x = (places[:, 0, None] + offsets).clamp(0, insert.shape[0] - 1)
    y = (places[:, 1, None] + offsets).clamp(0, insert.shape[1] - 1)
    d, r = (each[x[:, :, None], y[:, None, :]] for each in (insert, response))
    return (d.conj() * r).real.sum((1, 2)) / d.abs().square().sum((1, 2)).clamp(min=SMALLEST)


def _power(images: Tensor) -> Tensor:
    return images.square().sum((1, 2))


def _size(images: Tensor) -> Tensor:
    """Sum of magnitudes; smooth at 0, where the root has no gradient."""
    return (images.square() + SMALLEST).sqrt().sum((1, 2))
