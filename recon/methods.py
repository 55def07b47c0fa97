"""The methods: each turns the encoded data of a batch of slices into images.

    zero-filled   x = Sᴴ Fᴴ y                                      coils combined, nothing unfolded
    sense         min ½ ‖A x - y‖² + ½ μ ‖x‖²                       μ = noise power over signal power (Wiener)
    cs            min ½ ‖A x - y‖² + λ_w ‖Ψ x‖₁ + λ_tv TV(x)        λ automatic, in noise units
    dl            cs, refined by a trained network within bounds   `learned/`

SENSE: Pruessmann et al. 2001, doi:10.1002/mrm.1241. Compressed sensing: Lustig et al. 2007, doi:10.1002/mrm.21391.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from knerve.gpu.fourier import to_image
from knerve.recon.conjugate_gradient import conjugate_gradient
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.hybrid import HybridScan
from knerve.recon.object_rows import cut, object_rows, of_equal_height, on_rows, put_back
from knerve.recon.proximal_gradient import proximal_gradient
from knerve.recon.regularisation import (
    SOFT,
    TOTAL_VARIATION,
    automatic_weight,
    largest_count,
    largest_eigenvalue,
    typical_signal,
)
from knerve.recon.settings import MOST_TOLERANCE, Settings
from knerve.recon.sparsity import SparsityPrior
from knerve.recon.wavelets import WaveletTransform

if TYPE_CHECKING:
    from knerve.recon.learned.method import Classical

SENSE_TOLERANCE = 1e-4


def zero_filled(encoding: CartesianEncoding, right_side: Tensor, settings: Settings) -> Tensor:  # noqa: ARG001 - METHODS share one signature
    """Coil-combined inverse Fourier transform with unsampled lines left at zero; each line counts once, however averaged."""
    return right_side


def sense(encoding: CartesianEncoding, right_side: Tensor, settings: Settings) -> Tensor:
    """Iterative SENSE with Wiener regularisation, by conjugate gradients."""
    mu = wiener_weight(encoding, right_side)
    return conjugate_gradient(
        lambda x: encoding.normal(x) + mu * x,
        right_side,
        tolerance=SENSE_TOLERANCE,
        max_iterations=settings.max_iterations,
    )


def cs(encoding: CartesianEncoding, right_side: Tensor, settings: Settings) -> Tensor:
    """Compressed sensing with cycle-spun wavelets and total variation, each slice on the rows of its own object."""
    if right_side.is_cuda:
        return cs_at_once(encoding, right_side, settings)
    one_by_one = range(len(right_side))  # a slice stays in the caches of a CPU
    return torch.cat([cs_at_once(encoding.of_slice(s), right_side[s : s + 1], settings) for s in one_by_one])


def cs_at_once(encoding: CartesianEncoding, right_side: Tensor, settings: Settings) -> Tensor:
    """The same with all slices that have equally many rows in one batch, as suits a GPU."""
    weight = settings.regularisation * automatic_weight(encoding, right_side)
    lipschitz = largest_eigenvalue(encoding)
    rows = object_rows(encoding)
    image = torch.zeros_like(right_side)
    for some in of_equal_height(rows):
        seen = on_rows(encoding, rows, some)
        solved = proximal_gradient(
            seen,
            cut(right_side, rows, some),
            sparsity_prior(seen, weight[some], settings),
            lipschitz[some],
            tolerance=settings.tolerance,
            max_iterations=settings.max_iterations,
        )
        put_back(image, solved, rows, some)
    return image


def dl(encoding: CartesianEncoding, right_side: Tensor, settings: Settings) -> Tensor:
    """Compressed sensing refined by the trained network, which is loaded only when needed."""
    from knerve.recon.learned.method import learned_images

    return learned_images(classical(encoding, right_side, settings)).image


def starting_settings(settings: Settings) -> Settings:
    """Of the compressed sensing that the network starts from: at half the precision, images differ by 1 %, a fifth sooner."""
    return replace(settings, method="cs", tolerance=min(2 * settings.tolerance, MOST_TOLERANCE))


def classical(encoding: CartesianEncoding, right_side: Tensor, settings: Settings) -> Classical:
    """What the network starts from."""
    from knerve.recon.learned.method import Classical, reason_against

    def plain() -> Tensor:
        return cs(encoding, right_side, settings)

    if reason_against(encoding, right_side) is not None:
        image = plain()
        return Classical(encoding, right_side, image, wiener_weight(encoding, right_side), lambda: image)
    start = cs(encoding, right_side, starting_settings(settings))
    return Classical(encoding, right_side, start, wiener_weight(encoding, right_side), plain)


METHODS: dict[str, Callable[[CartesianEncoding, Tensor, Settings], Tensor]] = {
    "zero-filled": zero_filled,
    "sense": sense,
    "cs": cs,
    "dl": dl,
}


def root_sum_of_squares(scan: HybridScan) -> Tensor:
    """Image without sensitivities: zero-filled coil images, √Σ|·|² over the coils; (slice, x, 1, [z,] y)."""
    dims = tuple(range(3, scan.kspace.ndim))
    coil_images = to_image(scan.kspace, dims)
    return torch.linalg.vector_norm(coil_images, dim=2, keepdim=True).to(torch.complex64)


def wiener_weight(encoding: CartesianEncoding, right_side: Tensor) -> Tensor:
    """μ = 1 / S², the unit noise power over the power of the typical signal S, per slice."""
    signal = typical_signal(right_side / largest_count(encoding))
    return (1 / signal.clamp(min=1.0).square()).reshape(-1, *(1,) * (right_side.ndim - 1))


def sparsity_prior(encoding: CartesianEncoding, weight: Tensor, settings: Settings) -> SparsityPrior:
    """The prior of the settings; `weight (slice, 1, ...)` is that of wavelets shrunk by their neighbourhood."""
    shape = encoding.image_shape
    dims = (-3, -1) if len(shape) == 4 else (-4, -2, -1)
    of_wavelets = settings.wavelets * (SOFT if settings.shrinkage == "soft" else 1.0)
    of_variation = settings.total_variation * TOTAL_VARIATION
    return SparsityPrior(
        wavelet=WaveletTransform.for_image(settings.wavelet, shape, dims),
        dims=dims,
        wavelet_weight=of_wavelets * weight,
        tv_weight=of_variation * weight if of_variation > 0 else None,
        shrinkage=settings.shrinkage,
    )
