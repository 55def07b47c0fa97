"""Coils of a slice as they were found in one scan, and whether the next scan of the same slice may use them.

    misfit = (Σ |m - Σ_set S Sᴴ m|² - what noise leaves) / Σ |m|²          m: low-resolution coil images

m comes from the new scan's own calibration lines, S from the earlier scan. Coils stay where they are, so S stays true where
there was an object; where the object has moved to, S is zero, and what lies there would be missing in the image. Even S of
the same scan leaves a misfit, as m is blurred; what counts is how much it grew.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.gpu.fourier import to_image
from knerve.recon.espirit import Sensitivities

MOST_GROWTH = 1.08  # of the misfit: 1.04 and less after 2 mm of the knee, 1.11 and more after 5 mm (docs/server.md)
BY_CHANCE = 0.08  # of the noise in those images: sensitivities follow that of their own scan (0.06 on phantoms of SNR 12 to 100)
OTHER_NOISE = 0.15  # largest change of whitened noise, as a part of it

REUSED = (
    "coil sensitivities and compression are those of the previous scan, as its slices lie at the same places and the calibration "
    "lines of this scan agree with them."
)
FOUND_ANEW = "coil sensitivities were found anew in some slices: those of the previous scan do not explain this one."


@dataclass(frozen=True)
class SliceCoils:
    """What solving needs to know of the coils of one slice.

    Attributes:
        sensitivities: of virtual coils.
        matrix: what makes those of whitened coils, (1, x or 1, virtual coil, coil); None where they are the same.
        is_reused: whether they come from an earlier scan.
        notes: for the user.
    """

    sensitivities: Sensitivities
    matrix: Tensor | None
    is_reused: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptCoils:
    """Coils of a slice for the next scan of it.

    Attributes:
        coils: as they were found.
        whitening: of that scan, (new coil, coil).
        few_maps: sensitivities of whitened coils at the pixels of the low-resolution image, (set, coil, y, x).
        misfit: in the scan in which they were found.
    """

    coils: SliceCoils
    whitening: Tensor
    few_maps: Tensor
    misfit: float

    @property
    def n_bytes(self) -> int:
        """Of memory."""
        found = self.coils.sensitivities
        held = (found.maps, found.eigenvalues, self.coils.matrix, self.few_maps)
        return sum(one.numel() * one.itemsize for one in held if one is not None)


def maps_at_low_resolution(sensitivities: Sensitivities, block: Tensor, fov: tuple[float, float, float]) -> Tensor:
    """Sensitivities at the pixels of `low_resolution(block)`, (set, coil, y, x); zero outside of the image.

    Args:
        sensitivities: of one slice, (1, x, set, coil, y).
        block: calibration lines, (1, coil, ky, kx).
        fov: (x, y, z) field of view that the samples of `block` encode, over that of the image.
    """
    maps = sensitivities.maps[0]
    columns, inside_x = _nearest(block.shape[-1], maps.shape[0], fov[0])
    lines, inside_y = _nearest(block.shape[-2], maps.shape[-1], fov[1])
    few = maps[columns][..., lines].permute(1, 2, 3, 0)
    return few * (inside_y[:, None] & inside_x).to(few.device)


def low_resolution(block: Tensor) -> Tensor:
    """Coil images (coil, y, x) of whitened calibration lines (1, coil, ky, kx) under a window that keeps them from ringing."""
    return to_image(block[0] * _window(block), (-2, -1))


def misfit(block: Tensor, few_maps: Tensor) -> tuple[float, float]:
    """How much of the signal in whitened calibration lines sensitivities (set, coil, y, x) do not explain, and how much is noise.

    Both are parts of the signal's energy.
    """
    images = low_resolution(block)
    explained = (few_maps * torch.linalg.vecdot(few_maps, images[None], dim=1)[:, None]).sum(0)
    energy = max(float(_power(images).sum()), 1e-30)
    noise = float(_window(block).square().mean()) * (images.numel() - float(_power(few_maps).sum()))
    return (float(_power(images - explained).sum()) - noise) / energy, noise / energy


def carried_over(kept: KeptCoils, block: Tensor, whitening: Tensor) -> SliceCoils | None:
    """The coils for a new scan; None where they do not explain it, or its noise is another.

    Args:
        kept: of the same slice in an earlier scan.
        block: whitened calibration lines of the new scan, (1, coil, ky, kx).
        whitening: of the new scan.
    """
    if kept.whitening.shape != whitening.shape or kept.few_maps.shape[-2:] != block.shape[-2:]:
        return None
    # from the new scan's whitened coils to those of the earlier scan, which the sensitivities are about
    change = kept.whitening @ torch.linalg.pinv(whitening)
    other_noise = torch.linalg.matrix_norm(change - torch.eye(len(change)), 2)
    as_before = (change.to(block.device) @ block.flatten(2)).reshape(block.shape)
    found, noise = misfit(as_before, kept.few_maps)
    if float(other_noise) > OTHER_NOISE or found > MOST_GROWTH * max(0.0, kept.misfit) + BY_CHANCE * noise:
        return None
    change = (_strength_in_units_of(change, kept.few_maps) * change).to(block.device)
    matrix = change[None, None] if kept.coils.matrix is None else kept.coils.matrix @ change
    return SliceCoils(kept.coils.sensitivities, matrix, is_reused=True, notes=(*kept.coils.notes, REUSED))


def _strength_in_units_of(change: Tensor, few_maps: Tensor) -> float:
    """Mean norm of sensitivities (set, coil, y, x), which are of norm 1, in units of the noise before `change`."""
    before = torch.linalg.solve(change.to(few_maps.device), few_maps.flatten(2))
    return float((_power(before).sum() / _power(few_maps).sum().clamp(min=1e-30)).sqrt())


def _nearest(n_low: int, n_high: int, fov: float) -> tuple[Tensor, Tensor]:
    """Pixels of the image nearest to those of the low-resolution image along one axis, and whether there are any."""
    place = (torch.arange(n_low) - n_low // 2) * (fov / n_low)
    index = (place * n_high).round().long() + n_high // 2
    return index.clamp(0, n_high - 1), (index >= 0) & (index < n_high)


def _window(block: Tensor) -> Tensor:
    sides = []
    for n in block.shape[-2:]:
        place = (torch.arange(n, device=block.device) - (n - 1) / 2) / ((n + 1) / 2)
        sides.append(torch.cos(place * (torch.pi / 2)).square())
    return sides[0][:, None] * sides[1]


def _power(values: Tensor) -> Tensor:
    return torch.view_as_real(values.resolve_conj()).square().sum(-1)
