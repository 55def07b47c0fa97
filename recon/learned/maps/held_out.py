"""Lines that the reconstruction was not shown, predicted from those that it was: a comparison that needs no truth.

    error = ‖A_h x - y_h‖ / ‖y_h‖        over held-out lines h, x reconstructed from all others

A few lines outside of the calibration centre are held out. No image can do better than the noise in y_h; a method that invents
structure predicts them worse than one that does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.learned.maps.prepared import PreparedSlice
from knerve.recon.learned.maps.refit import Refit

SHARE = 0.05  # of the lines
FEWEST = 2
ALIKE = 0.01  # relative differences below this say nothing


@dataclass(frozen=True)
class HeldOut:
    """Errors of one slice, relative to the held-out data.

    Attributes:
        n_lines: held out.
        error: of the method.
        reference: of the simpler one.
        noise: what noise alone gives.
        unused: why the network was not used on the fewer lines.
    """

    n_lines: int
    error: float
    reference: float
    noise: float
    unused: str | None = None

    @property
    def verdict(self) -> str:
        """How the method compares with the simpler one: "better", "alike" or "worse"."""
        ratio = self.error / self.reference
        return "better" if ratio < 1 - ALIKE else "worse" if ratio > 1 + ALIKE else "alike"


def held_out_check(slice_: PreparedSlice, refit: Refit, seed: int) -> HeldOut | None:
    """Hold lines out of a slice and predict them; None where too few lie outside of the centre.

    Args:
        slice_: its data.
        refit: the method.
        seed: of the choice of lines.
    """
    lines = chosen_lines(slice_, seed)
    if lines is None:
        return None
    fewer = slice_.without(lines)
    pair = refit(fewer.encoding, fewer.right_side)
    measured = slice_.encoding.weights * slice_.hybrid.kspace * lines
    power = float(measured.abs().square().sum())
    used = slice_.hybrid.kspace.abs().amax(-1) > 0  # virtual coils that hold anything
    errors = [
        float(((slice_.encoding.forward(image) * lines - measured) * used[..., None]).abs().square().sum())
        for image in (pair.image, pair.reference)
    ]
    noise = float(used.sum() * lines.sum())
    error, reference, floor = ((each / power) ** 0.5 for each in (*errors, noise))
    return HeldOut(int(lines.sum()), error, reference, floor, pair.unused)


def chosen_lines(slice_: PreparedSlice, seed: int) -> Tensor | None:
    """Lines to hold out, bool (ky) on the solver's grid, none of the contiguous centre."""
    own = slice_.own_lines
    sampled = slice_.encoding.counts[0, own].cpu() > 0
    middle = len(sampled) // 2
    gaps = torch.nonzero(~sampled)[:, 0]
    below, above = gaps[gaps < middle], gaps[gaps >= middle]
    candidates = sampled.clone()
    candidates[int(below.max()) if len(below) else 0 : int(above.min()) if len(above) else len(sampled)] = False
    places = torch.nonzero(candidates)[:, 0]
    wanted = max(FEWEST, round(SHARE * int(sampled.sum())))
    if len(places) < 2 * wanted:
        return None
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
    lines = torch.zeros(slice_.encoding.counts.shape[-1], dtype=torch.bool)
    lines[own.start + places[order[:wanted]]] = True
    return lines.to(slice_.encoding.counts.device)
