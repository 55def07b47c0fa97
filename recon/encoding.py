"""The encoding operator: what the scanner does to an image, in hybrid space.

    A x = W F Σ_set S_set x_set        k-space = weights · Fourier transform along the phase encodes · coil sensitivities

The weights are √counts: a line averaged from n readouts carries noise of variance 1 / n, and the weighted data W y have unit
noise variance on every sampled line. Shapes as in `hybrid.py`; every column x is independent.

With the centre of k-space at index n // 2, Aᴴ A is a circular convolution and needs no shifts; only A and Aᴴ shift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from knerve.gpu.fourier import to_image, to_kspace
from knerve.recon.errors import SettingsError
from knerve.recon.hybrid import HybridScan

CACHE_BYTES = 1 << 20  # coil images of one block of columns on the CPU: small enough to stay in the L2 cache


@dataclass(frozen=True)
class CartesianEncoding:
    """A = W F S for a batch of slices.

    Attributes:
        maps: complex64, (slice, x, set, coil, [z,] y); there may be fewer rows y than lines ky: nothing is seen beyond them.
        counts: int32, (slice, [kz,] ky).
        imaginary_penalty: with maps that carry the image phase, the image is real; this weight μ adds μ·Im to the normal
            operator and so fills what partial Fourier left out. 0 leaves images complex.
        added_lines: of the lines along ky, how many lie outside of the acquired ones and count as zero.
        first_row: of the maps among as many rows as there are lines.
    """

    maps: Tensor
    counts: Tensor
    imaginary_penalty: float = 0.0
    added_lines: int = 0
    first_row: int = 0

    def __post_init__(self) -> None:
        """Check the shapes once; the methods trust them."""
        expected = (self.maps.shape[0], *self.maps.shape[4:-1])
        n_rows = self.first_row + self.maps.shape[-1]
        if tuple(self.counts.shape[:-1]) != expected or self.counts.shape[-1] < n_rows:
            raise SettingsError(
                f"counts have shape {tuple(self.counts.shape)}; maps of shape {tuple(self.maps.shape)} "
                f"need {(*expected, n_rows)}, or more lines."
            )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(slice, x, set, [z,] y)."""
        return (*self.maps.shape[:3], *self.maps.shape[4:])

    @property
    def kspace_shape(self) -> tuple[int, ...]:
        """(slice, x, coil, [kz,] ky)."""
        return (*self.maps.shape[:2], self.maps.shape[3], *self.counts.shape[1:])

    @property
    def encoded_dims(self) -> tuple[int, ...]:
        """Axes of the Fourier transform, counted from the end."""
        return tuple(range(-(self.counts.ndim - 1), 0))

    @property
    def sampled_fraction(self) -> Tensor:
        """Sampled lines over those of the scan's own grid, per slice."""
        sampled = (self.counts > 0).flatten(1).float()
        added = self.added_lines * sampled.shape[1] // self.counts.shape[-1]
        return (sampled.sum(1) - added) / (sampled.shape[1] - added)

    @property
    def weights(self) -> Tensor:
        """√counts, float32, (slice, 1, 1, [kz,] ky): broadcasts over k-space."""
        return self.counts.to(torch.float32).sqrt()[:, None, None]

    def of_slice(self, s: int) -> CartesianEncoding:
        """The encoding of one of the slices."""
        return replace(self, maps=self.maps[s : s + 1], counts=self.counts[s : s + 1])

    def forward(self, image: Tensor) -> Tensor:
        """Weighted k-space of an image: (slice, x, set, [z,] y) to (slice, x, coil, [kz,] ky)."""
        self._check("image", image, self.image_shape)
        coil_images = (self.maps * image.unsqueeze(3)).sum(2)
        rows_after = self.counts.shape[-1] - self.maps.shape[-1] - self.first_row
        return self.weights * to_kspace(pad(coil_images, (self.first_row, rows_after)), self.encoded_dims)

    def adjoint(self, kspace: Tensor) -> Tensor:
        """Aᴴ y: coil-combined image of weighted k-space."""
        self._check("k-space", kspace, self.kspace_shape)
        coil_images = to_image(self.weights * kspace, self.encoded_dims)
        coil_images = coil_images.narrow(-1, self.first_row, self.maps.shape[-1])
        return (self.maps.conj() * coil_images.unsqueeze(2)).sum(3)

    def adjoint_of_data(self, scan: HybridScan) -> Tensor:
        """Aᴴ W y of measured (unweighted) k-space: the right-hand side of the normal equations."""
        self._check("k-space", scan.kspace, self.kspace_shape)
        rows = slice(self.first_row, self.first_row + self.maps.shape[-1])
        result = scan.kspace.new_empty(self.image_shape)
        for s, columns in self._blocks():
            coil_images = to_image(self.counts[s] * scan.kspace[s, columns], self.encoded_dims)[..., rows]
            result[s, columns] = torch.linalg.vecdot(self.maps[s, columns], coil_images.unsqueeze(1), dim=2)
        return result

    def normal(self, image: Tensor) -> Tensor:
        """Aᴴ A x (plus μ·Im x), block of columns by block of columns."""
        self._check("image", image, self.image_shape)
        result = torch.empty_like(image)
        n_rows, shape = self.maps.shape[-1], self.counts.shape[1:]
        power = torch.fft.ifftshift(self.counts.to(torch.float32), dim=tuple(range(1, self.counts.ndim)))
        for s, columns in self._blocks():
            maps = self.maps[s, columns]
            coil_images = (
                (maps * image[s, columns].unsqueeze(2)).sum(1) if maps.shape[1] > 1 else maps[:, 0] * image[s, columns]
            )
            kspace = torch.fft.fftn(coil_images, s=shape, dim=self.encoded_dims)  # pads with zeros
            kspace *= power[s]
            coil_images = torch.fft.ifftn(kspace, dim=self.encoded_dims)[..., :n_rows]
            result[s, columns] = torch.linalg.vecdot(maps, coil_images.unsqueeze(1), dim=2)
        if self.imaginary_penalty:
            result += self.imaginary_penalty * 1j * image.imag
        return result

    def _blocks(self) -> Iterator[tuple[int, slice]]:
        """(slice, columns) pieces that stay in cache; whole slices on a GPU."""
        n_slices, n_columns = self.maps.shape[:2]
        column_bytes = self.maps[0, 0, 0].numel() * 8
        width = n_columns if self.maps.is_cuda else max(1, CACHE_BYTES // column_bytes)
        for s in range(n_slices):
            for start in range(0, n_columns, width):
                yield s, slice(start, start + width)

    def _check(self, name: str, value: Tensor, shape: tuple[int, ...]) -> None:
        if tuple(value.shape) != shape:
            raise SettingsError(f"{name} has shape {tuple(value.shape)}; this encoding takes {shape}.")
