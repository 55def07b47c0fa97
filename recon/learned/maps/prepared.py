"""The slices of a scan once more, as the solver met them: data, encoding and right side.

Maps are made after the images, from the same raw data and by the same steps, so that a reconstruction without maps does nothing
for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from knerve.gpu.devices import choose_device
from knerve.recon.calibration import calibration_lines, estimate_sensitivities
from knerve.recon.coils import compress_coils
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.extent import crop_to_acquired
from knerve.recon.finish import finish_image, finish_map
from knerve.recon.hybrid import HybridScan
from knerve.recon.noise import estimate_whitening, mix_coils
from knerve.recon.readout import to_hybrid_space
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings
from knerve.recon.transform_length import in_scan_units, own_lines, pad_phase_encodes, smooth_on_scan_grid


@dataclass(frozen=True)
class PreparedSlice:
    """One slice.

    Attributes:
        encoding: A, of a batch of one.
        hybrid: its whitened data in few virtual coils.
        right_side: Aᴴ y, (1, x, set, y).
        scan: where it comes from, for its grid.
    """

    encoding: CartesianEncoding
    hybrid: HybridScan
    right_side: Tensor
    scan: RawScan

    @property
    def own_lines(self) -> slice:
        """The scan's own among the lines along ky."""
        return own_lines(self.encoding.counts.shape[-1], self.encoding.added_lines)

    @property
    def strength(self) -> Tensor:
        """Norm of the sensitivities of the first set, (x, y): 1 in the object, 0 outside."""
        return torch.linalg.vector_norm(self.encoding.maps[0, :, 0], dim=1)

    @property
    def inside(self) -> Tensor:
        """Where the coils see the object, bool (x, y)."""
        return self.strength > 0.5

    def without(self, lines: Tensor) -> PreparedSlice:
        """The same scan had these lines (bool, (ky)) not been read."""
        counts = torch.where(lines, 0, self.encoding.counts)
        hybrid = replace(self.hybrid, counts=counts, kspace=torch.where(lines, 0, self.hybrid.kspace))
        encoding = replace(self.encoding, counts=counts)
        return replace(self, encoding=encoding, hybrid=hybrid, right_side=encoding.adjoint_of_data(hybrid))

    def finished(self, image: Tensor) -> Tensor:
        """An image (1, x, set, y) of the solver as the pipeline delivers it, (y, x) complex64."""
        strength = torch.linalg.vector_norm(self.encoding.maps, dim=3)
        added = self.encoding.added_lines
        on_scan_grid = smooth_on_scan_grid(strength, added)
        return finish_image(in_scan_units(image, added), on_scan_grid, self.scan)[0].cpu()

    def on_image_grid(self, values: Tensor) -> Tensor:
        """A real map (x, y) as (y, x) on the grid of the images, by linear interpolation."""
        on_scan_grid = smooth_on_scan_grid(values[None, :, None].float(), self.encoding.added_lines)
        return finish_map(on_scan_grid[:, :, 0], self.scan)[0].cpu()


def prepared_slices(scan: RawScan, settings: Settings) -> Iterator[PreparedSlice]:
    """Every slice of a 2-D scan, one after the other; the steps are those of `pipeline.reconstruct`.

    Args:
        scan: raw.
        settings: those of the images.
    """
    device = choose_device(settings.device)
    whitening, _ = estimate_whitening(scan)
    calibration = calibration_lines(scan, settings)
    acquired = crop_to_acquired(scan)
    for s in range(scan.n_slices):
        one = acquired.select(range(s, s + 1)).to(device)
        block = mix_coils(whitening.matrix, calibration.kspace[s : s + 1].to(device))
        hybrid = pad_phase_encodes(to_hybrid_space(one, block, whitening.matrix))
        sensitivities, _ = estimate_sensitivities(hybrid, settings)
        hybrid, sensitivities = compress_coils(hybrid, sensitivities, settings)
        encoding = CartesianEncoding(sensitivities.maps, hybrid.counts, added_lines=hybrid.added_lines)
        yield PreparedSlice(encoding, hybrid, encoding.adjoint_of_data(hybrid), one)
