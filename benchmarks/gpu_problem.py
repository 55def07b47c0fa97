"""One scan taken through the pipeline step by step, so that each step can be checked and timed by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from knerve.recon.calibration import calibration_lines, estimate_sensitivities
from knerve.recon.coils import compress_coils
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.espirit import Sensitivities
from knerve.recon.extent import crop_to_acquired
from knerve.recon.hybrid import HybridScan
from knerve.recon.methods import sparsity_prior
from knerve.recon.noise import Whitening, estimate_whitening, mix_coils
from knerve.recon.object_rows import cut, object_rows, on_rows
from knerve.recon.readout import to_hybrid_space
from knerve.recon.regularisation import automatic_weight, largest_eigenvalue
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings
from knerve.recon.sparsity import SparsityPrior
from knerve.recon.transform_length import pad_phase_encodes


@dataclass(frozen=True)
class Problem:
    """What goes into the solver, on one device."""

    encoding: CartesianEncoding
    right_side: Tensor
    weight: Tensor
    lipschitz: Tensor
    settings: Settings

    def prior(self) -> SparsityPrior:
        """R, from the beginning of its shifts."""
        return sparsity_prior(self.encoding, self.weight, self.settings)

    def to(self, device: torch.device) -> Problem:
        """The same elsewhere."""
        encoding = CartesianEncoding(
            self.encoding.maps.to(device),
            self.encoding.counts.to(device),
            self.encoding.imaginary_penalty,
            self.encoding.added_lines,
            self.encoding.first_row,
        )
        right_side, weight, lipschitz = (each.to(device) for each in (self.right_side, self.weight, self.lipschitz))
        return Problem(encoding, right_side, weight, lipschitz, self.settings)


@dataclass(frozen=True)
class Steps:
    """The steps from raw data to the solver."""

    scan: RawScan
    settings: Settings
    device: torch.device

    def whitening(self) -> Whitening:
        """Of the noise readouts."""
        return estimate_whitening(self.scan)[0]

    def on_device(self) -> tuple[RawScan, Tensor]:
        """The raw scan and its calibration block there."""
        block = calibration_lines(self.scan, self.settings).kspace.to(self.device)
        return crop_to_acquired(self.scan).to(self.device), block

    def hybrid(self, raw: RawScan, block: Tensor, whitening: Whitening) -> HybridScan:
        """Whitened, in hybrid space, padded to a friendly length."""
        return pad_phase_encodes(to_hybrid_space(raw, mix_coils(whitening.matrix, block), whitening.matrix))

    def sensitivities(self, hybrid: HybridScan) -> Sensitivities:
        """ESPIRiT."""
        return estimate_sensitivities(hybrid, self.settings)[0]

    def problem(self, hybrid: HybridScan, sensitivities: Sensitivities) -> Problem:
        """Coils compressed, right side and weights made, rows cut that are empty in all slices."""
        hybrid, sensitivities = compress_coils(hybrid, sensitivities, self.settings)
        whole = CartesianEncoding(sensitivities.maps, hybrid.counts, added_lines=hybrid.added_lines)
        right_side = whole.adjoint_of_data(hybrid)
        weight = self.settings.regularisation * automatic_weight(whole, right_side)
        every = range(len(right_side))
        rows = [_around(object_rows(whole))] * len(right_side)  # the pipeline solves heights one after the other
        seen = on_rows(whole, rows, every)
        seen = replace(seen, maps=seen.maps.contiguous())  # as the solver copies them
        return Problem(
            seen, cut(right_side, rows, every).contiguous(), weight, largest_eigenvalue(whole), self.settings
        )


def problem_of(scan: RawScan, settings: Settings, device: torch.device) -> Problem:
    """All steps up to the solver."""
    steps = Steps(scan, settings, device)
    raw, block = steps.on_device()
    hybrid = steps.hybrid(raw, block, steps.whitening())
    return steps.problem(hybrid, steps.sensitivities(hybrid))


def _around(rows: Sequence[slice]) -> slice:
    """The rows of all objects."""
    return slice(min(own.start for own in rows), max(own.stop for own in rows))
