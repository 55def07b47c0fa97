"""What is done to one arriving slice, and when: at each readout, at its last calibration line, at its last line.

The steps are those of `pipeline.py`, on one slice. Coils are compressed where they are calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from knerve.gpu.fourier import resize_centred, to_image
from knerve.recon.calibration import calibration_lines, estimate_sensitivities
from knerve.recon.coils import compressed_data, compressed_maps, compression_matrix
from knerve.recon.finish import finish_image
from knerve.recon.hybrid import HybridScan
from knerve.recon.methods import root_sum_of_squares, starting_settings
from knerve.recon.noise import mix_coils
from knerve.recon.readout import to_hybrid_space
from knerve.recon.settings import Settings
from knerve.recon.solution import Solution, solve
from knerve.recon.stages import Stopwatch
from knerve.recon.stream_lines import SharedLines, central_lines
from knerve.recon.stream_outline import Outline
from knerve.recon.stream_reuse import FOUND_ANEW, KeptCoils, SliceCoils, carried_over, maps_at_low_resolution, misfit
from knerve.recon.stream_slice import ArrivingSlice
from knerve.recon.transform_length import padded_for

ONE_LINE = torch.ones(1, 1, dtype=torch.int32)


@dataclass(frozen=True)
class Stages:
    """The steps of one scan.

    Attributes:
        outline: of the scan.
        whitening: `(new coil, coil)`.
        settings: every choice.
        device: where slices are calibrated and solved.
        watch: adds up the seconds of each stage.
        keeps_coils: for the next scan.
    """

    outline: Outline
    whitening: Tensor
    settings: Settings
    device: torch.device
    watch: Stopwatch
    keeps_coils: bool = False

    @property
    def central(self) -> slice:
        """Lines that calibration may use."""
        return central_lines(self.outline.n_lines, self.settings)

    def new_slice(self) -> ArrivingSlice:
        """An empty slice."""
        outline, central = self.outline, self.central
        n_kx = outline.grid.encoded_matrix[0]
        return ArrivingSlice(
            kspace=torch.zeros(1, outline.n_columns, len(self.whitening), outline.n_lines, dtype=torch.complex64),
            counts=torch.zeros(outline.n_lines, dtype=torch.int32),
            centre=torch.zeros(1, outline.n_coils, central.stop - central.start, n_kx, dtype=torch.complex64),
        )

    def put(self, target: ArrivingSlice, line: int, samples: Tensor) -> None:
        """Put a raw readout, `samples (coil, kx)` over the whole width of the encoded matrix, on its line."""
        with self.watch.stage("arrival", waits=False):
            columns = resize_centred(to_image(samples, (-1,)), -1, target.kspace.shape[1])
            white = self.whitening @ columns
            target.kspace[0, :, :, line] = white.T
            if target.sent is not None:
                target.sent.add(line, white)
            if self.central.start <= line < self.central.stop:
                target.centre[0, :, line - self.central.start] = samples
            target.counts[line] += 1

    def calibrate(
        self, target: ArrivingSlice, lines: SharedLines, kept: KeptCoils | None = None
    ) -> tuple[SliceCoils, KeptCoils | None]:
        """Coils of a slice that has all of `lines.calibrating`, and what the next scan may know of them, if it is to.

        Args:
            target: the slice.
            lines: of the scan.
            kept: of the same slice in an earlier scan; taken where it explains this one.
        """
        with self.watch.stage("calibrate"):
            raw = self.outline.scan(lines.counts[None, self.central], target.centre)
            block = mix_coils(self.whitening, calibration_lines(raw, self.settings).kspace)
            hybrid = self._hybrid(target.kspace[:, :, :1], lines, block)  # of the data only the shape is used
            assert hybrid.calibration is not None, "it was given"
            reused = None if kept is None else carried_over(kept, hybrid.calibration, self.whitening)
            if reused is not None:
                return reused, kept
            found, notes = estimate_sensitivities(padded_for(self.settings.method, hybrid), self.settings)
        with self.watch.stage("compress"):
            matrix = compression_matrix(found, self.settings)
            coils = SliceCoils(found if matrix is None else compressed_maps(found, matrix), matrix, notes=notes)
        if not self.keeps_coils:
            return coils, None
        with self.watch.stage("calibrate"):
            few_maps = maps_at_low_resolution(found, hybrid.calibration, hybrid.calibration_fov)
            fresh = KeptCoils(coils, self.whitening, few_maps, misfit(hybrid.calibration, few_maps)[0])
        return (coils if kept is None else replace(coils, notes=(*notes, FOUND_ANEW))), fresh

    def solve(self, target: ArrivingSlice, coils: SliceCoils, lines: SharedLines) -> Solution:
        """A slice that has all of its lines, solved; for the method dl by compressed sensing, from which `refined` goes on."""
        kspace = target.kspace if target.sent is None else target.sent.kspace(self.outline.n_lines)
        hybrid = self._hybrid(kspace, lines, None)
        if coils.matrix is not None:
            with self.watch.stage("compress"):
                hybrid = compressed_data(hybrid, coils.matrix)
        whole = self.outline.scan(lines.counts[None])
        settings = starting_settings(self.settings) if self.settings.method == "dl" else self.settings
        settings = replace(settings, compression="none")  # that is done
        return solve(hybrid, coils.sensitivities, whole, lines.phase_lines, settings, self.watch)

    def quick_image(self, kspace: Tensor, lines: SharedLines) -> Tensor:
        """Image (1, y, x) of what is there of `kspace (1, x, coil, ky)`: coils combined, nothing unfolded."""
        with self.watch.stage("quick image"):
            image = root_sum_of_squares(self._hybrid(kspace, lines, None))
            return finish_image(image, torch.ones_like(image.real), self.outline.scan(lines.counts[None]))

    def _hybrid(self, kspace: Tensor, lines: SharedLines, block: Tensor | None) -> HybridScan:
        alone = replace(self.outline.scan(ONE_LINE), counts=torch.zeros_like(ONE_LINE))
        return HybridScan(
            kspace=kspace[..., lines.acquired].to(self.device),
            counts=lines.counts[None, lines.acquired].to(self.device),
            calibration=None if block is None else block.to(self.device),
            calibration_fov=to_hybrid_space(alone, None).calibration_fov,
        )
