"""One slice that is filled readout by readout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.gpu.arriving_lines import ArrivingLines
from knerve.recon.stream_reuse import SliceCoils


@dataclass
class ArrivingSlice:
    """What has come of one slice, and how far it got.

    Attributes:
        kspace: hybrid space, (1, x, coil, ky), whitened.
        counts: int32 (ky).
        sent: the same lines as they go to a GPU; None on a CPU, or where it has no room for them.
        centre: raw k-space around the centre, (1, coil, ky, kx), from which the coils are calibrated.
        coils: once they are known.
        is_calibrating: whether somebody finds the coils, or has found them.
        is_complete: whether its last readout has come.
        is_finished: whether its image is made.
    """

    kspace: Tensor
    counts: Tensor
    centre: Tensor
    sent: ArrivingLines | None = None
    coils: SliceCoils | None = None
    is_calibrating: bool = False
    is_complete: bool = False
    is_finished: bool = False

    def release(self) -> None:
        """Give the memory back."""
        self.kspace = self.centre = torch.empty(0, dtype=torch.complex64)
        self.sent = self.coils = None
