"""Which lines every slice of a scan samples, learnt from the first slice that is complete.

The batch path decides from all slices together which lines calibrate, how far k-space reaches and whether it is one-sided.
Where all slices sample the same lines, as in one scan they do, the first complete one tells as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.calibration import ENOUGH_LINES, calibration_lines, central_box
from knerve.recon.errors import CalibrationError
from knerve.recon.extent import crop_to_acquired
from knerve.recon.pipeline import central_phase_lines
from knerve.recon.settings import Settings
from knerve.recon.stream_errors import NotStreamableError
from knerve.recon.stream_outline import Outline


@dataclass(frozen=True)
class SharedLines:
    """The sampling that all slices share.

    Attributes:
        counts: int32 (ky), 1 for a sampled line.
        acquired: the extent of k-space that is solved for.
        calibrating: lines without which a slice cannot be calibrated.
        phase_lines: central lines that show the phase of partial Fourier data, or None.
        notes: for the user.
    """

    counts: Tensor
    acquired: slice
    calibrating: slice
    phase_lines: tuple[slice, ...] | None
    notes: tuple[str, ...]

    @property
    def acceleration(self) -> float:
        """Lines of the grid over lines sampled."""
        return len(self.counts) / max(1, int(self.counts.sum()))


def central_lines(n_lines: int, settings: Settings) -> slice:
    """The lines around the centre, at index n // 2, that calibration may use."""
    half = min((settings.calibration_width or ENOUGH_LINES) + 1, n_lines) // 2
    return slice(n_lines // 2 - half, n_lines // 2 + half + n_lines % 2)


def shared_lines(counts: Tensor, outline: Outline, settings: Settings) -> SharedLines:
    """What the sampled lines of one complete slice, `counts (ky)`, say about all.

    Raises:
        NotStreamableError: they do not calibrate the coils.
    """
    scan = outline.scan(counts[None])
    try:
        calibration_lines(scan, settings)
    except CalibrationError as error:
        raise NotStreamableError(f"a slice by itself has too few calibration lines ({error})") from error
    (box,) = central_box(scan.mask)
    central = central_lines(len(counts), settings)
    acquired = crop_to_acquired(scan)
    first, size = len(counts) // 2 - acquired.counts.shape[1] // 2, acquired.counts.shape[1]
    phase_lines, notes = central_phase_lines(acquired, settings)
    return SharedLines(
        counts=counts.clone(),
        acquired=slice(first, first + size),
        calibrating=slice(max(box.start, central.start), min(box.stop, central.stop)),
        phase_lines=phase_lines,
        notes=notes,
    )


def are_sampled(counts: Tensor, lines: slice) -> bool:
    """Whether a slice with `counts (ky)` has all of these lines."""
    return bool(torch.all(counts[lines] > 0))
