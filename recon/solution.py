"""From slices in hybrid space with known sensitivities to their images, and to the noise map that need not come at once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from knerve.recon.coils import compress_coils
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.espirit import Sensitivities
from knerve.recon.finish import finish_image, finish_noise
from knerve.recon.hybrid import HybridScan
from knerve.recon.methods import METHODS, classical, wiener_weight
from knerve.recon.noise_map import analytic_noise_map, replica_noise_map, zero_filled_noise_map
from knerve.recon.partial_fourier import phase_constrained
from knerve.recon.scan import RawScan
from knerve.recon.settings import Method, Settings
from knerve.recon.solved import Solved
from knerve.recon.stages import Stopwatch
from knerve.recon.transform_length import in_scan_units, lines_after_padding, padded_for, smooth_on_scan_grid


@dataclass(frozen=True)
class Solution:
    """Slices that are solved.

    Attributes:
        image: (slice, x, set, [z,] y) on the scan's own lines.
        strength: norm of the sensitivities, same shape.
        encoding: what was inverted.
        right_side: of the normal equations.
        added_lines: by padding.
        scan: where the slices come from, for its grid and `sampled_kx`.
        settings: every choice.
        solved: the image as the method left it, shaped as `right_side`.
        data: what was solved for, coils compressed.
        phase: taken out of the image while it was solved for, same shape, or None.
        noise_map: of the linear solution, shaped as `right_side`, if solving needed it.
        is_learned: whether a network made any of the images.
        notes: for the user.
    """

    image: Tensor
    strength: Tensor
    encoding: CartesianEncoding
    right_side: Tensor
    added_lines: int
    scan: RawScan
    settings: Settings
    solved: Tensor
    data: HybridScan
    phase: Tensor | None = None
    noise_map: Tensor | None = None
    is_learned: bool = False
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> Method:
        """What made the images: "cs" where `dl` was asked for and its network refused all of them."""
        return "cs" if self.settings.method == "dl" and not self.is_learned else self.settings.method

    def finished_image(self, watch: Stopwatch) -> Tensor:
        """Images (slice, [z,] y, x) in SNR units."""
        with watch.stage("finish"):
            return finish_image(self.image, self.strength, self.scan)

    def noise_level(self, watch: Stopwatch) -> tuple[Tensor | None, tuple[str, ...]]:
        """Noise standard deviation in those images, if the settings ask for it, and notes for the user."""
        with watch.stage("noise map"):
            noise_map, notes = _noise_map(self.encoding, self.right_side, self.settings, self.noise_map)
        notes = self.notes + notes
        if noise_map is None:
            return None, notes
        with watch.stage("finish"):
            noise_map = smooth_on_scan_grid(noise_map, self.added_lines)
            return finish_noise(noise_map, self.image, self.strength, self.scan), notes


def solve(
    hybrid: HybridScan,
    sensitivities: Sensitivities,
    scan: RawScan,
    phase_lines: tuple[slice, ...] | None,
    settings: Settings,
    watch: Stopwatch,
) -> Solution:
    """Solve slices in hybrid space.

    Args:
        hybrid: the slices.
        sensitivities: on the lines of `padded_for`.
        scan: where the slices come from.
        phase_lines: central lines that show the phase of partial Fourier data, or None for complex images.
        settings: every choice.
        watch: adds up the seconds of each stage.
    """
    with watch.stage("compress"):
        hybrid, sensitivities = compress_coils(hybrid, sensitivities, settings)
        hybrid = padded_for(settings.method, hybrid)  # of few coils
    with watch.stage("solve"):
        encoding, phase = CartesianEncoding(sensitivities.maps, hybrid.counts, added_lines=hybrid.added_lines), None
        if phase_lines is not None:
            encoding, phase = phase_constrained(encoding, hybrid, lines_after_padding(phase_lines, hybrid))
        if settings.method == "zero-filled":
            right_side = CartesianEncoding(sensitivities.maps, hybrid.mask.int()).adjoint(hybrid.kspace)
        else:
            right_side = encoding.adjoint_of_data(hybrid)
        solved = _solved(encoding, right_side, hybrid, settings)
        image = in_scan_units(solved.image if phase is None else solved.image * phase, hybrid.added_lines)
        strength = smooth_on_scan_grid(sensitivities.strength, hybrid.added_lines)
    return Solution(
        image=image,
        strength=strength,
        encoding=encoding,
        right_side=right_side,
        added_lines=hybrid.added_lines,
        scan=scan,
        settings=settings,
        solved=solved.image,
        data=hybrid,
        phase=phase,
        noise_map=solved.noise,
        is_learned=solved.is_learned,
        notes=solved.notes,
    )


def _solved(encoding: CartesianEncoding, right_side: Tensor, hybrid: HybridScan, settings: Settings) -> Solved:
    if settings.method != "dl":
        return Solved(METHODS[settings.method](encoding, right_side, settings))
    from knerve.recon.learned.method import trusted_images  # only now: a network is loaded with it

    return trusted_images(classical(encoding, right_side, settings), hybrid)


def _noise_map(
    encoding: CartesianEncoding, right_side: Tensor, settings: Settings, known: Tensor | None
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The noise map that the settings ask for, shaped as the image, and notes; `known` is the analytic one if it was made."""
    if settings.snr_map == "none":
        return None, ()
    if settings.method == "zero-filled":
        return zero_filled_noise_map(encoding), ()
    is_real = encoding.imaginary_penalty > 0
    if settings.snr_map == "analytic" and known is not None:
        return known, ()
    if settings.snr_map == "analytic" and encoding.counts.ndim == 2 and not is_real:
        return analytic_noise_map(encoding, wiener_weight(encoding, right_side)), ()
    if settings.snr_map == "analytic":
        kind = "phase-constrained images" if is_real else "3-D scans"
        return None, (f"{kind} have no analytic noise map: ask for snr_map replica.",)

    def solve_noisy(noise: Tensor) -> Tensor:
        noisy = right_side + encoding.adjoint(noise.to(right_side.device) * (encoding.counts > 0)[:, None, None])
        return METHODS[settings.method](encoding, noisy, settings)

    noise_map = replica_noise_map(solve_noisy, encoding.kspace_shape, settings.replicas, settings.seed)
    # an image that is real up to its phase carries all of its noise in the magnitude
    return (2**0.5 * noise_map if is_real else noise_map), ()
