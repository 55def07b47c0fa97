"""What is known of a scan before its first imaging readout: everything but samples and which lines are sampled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.readout import n_columns
from knerve.recon.scan import Frame, Grid, RawScan


@dataclass(frozen=True)
class Outline:
    """The shape of a 2-D scan that is still to come.

    Attributes:
        n_slices: images that will be made.
        n_coils: receive channels.
        grid: matrix and field of view.
        sampled_kx: (first, last + 1) column that the readouts fill.
    """

    n_slices: int
    n_coils: int
    grid: Grid
    sampled_kx: tuple[int, int]

    @property
    def n_lines(self) -> int:
        """Lines of the encoded matrix."""
        return self.grid.encoded_matrix[1]

    @property
    def n_columns(self) -> int:
        """Columns that are left when the readout oversampling is dropped."""
        return n_columns(self.scan(torch.ones(1, 1, dtype=torch.int32)))

    def scan(self, counts: Tensor, kspace: Tensor | None = None) -> RawScan:
        """A scan of this shape, for those who ask for one.

        Args:
            counts: (slice, ky), the encoded lines or some around their centre.
            kspace: (slice, coil, ky, kx); None stands for zeros that take no memory.
        """
        if kspace is None:
            n_slices, n_lines = counts.shape
            shape = (n_slices, self.n_coils, n_lines, self.grid.encoded_matrix[0])
            kspace = torch.zeros((), dtype=torch.complex64).expand(shape)
        frames = tuple(Frame(slice=s) for s in range(counts.shape[0]))
        return RawScan(kspace, counts, frames, self.grid, self.sampled_kx)
