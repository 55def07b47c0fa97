"""The method dl: compressed sensing, refined by the trained network within bounds, or left alone where it cannot be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.hybrid import HybridScan
from knerve.recon.learned.cuda_model import on_device
from knerve.recon.learned.domain import outside_domain
from knerve.recon.learned.fused_normal import normal_of_slice
from knerve.recon.learned.notes import held_back_note, replaced_note
from knerve.recon.learned.precision import fast_convolutions
from knerve.recon.learned.start import first_look, problem_of_slice
from knerve.recon.learned.trust import bounded, complaint, data_fit
from knerve.recon.learned.unrolled import Unrolled
from knerve.recon.learned.weights import packaged_model
from knerve.recon.noise_map import analytic_noise_map
from knerve.recon.regularisation import largest_count
from knerve.recon.solved import Solved

NO_WEIGHTS = "this installation comes without trained weights"


@dataclass(frozen=True)
class Classical:
    """What is known of a batch of slices without the network.

    Attributes:
        encoding: A.
        right_side: Aᴴ y, (slice, x, set, y).
        image: compressed sensing from which the network starts, same shape.
        wiener: weight of linear SENSE, (slice, 1, 1, 1).
        plain: makes what the method cs shows, same shape; where the network is not used.
    """

    encoding: CartesianEncoding
    right_side: Tensor
    image: Tensor
    wiener: Tensor
    plain: Callable[[], Tensor]


@dataclass(frozen=True)
class LearnedImages:
    """What the method makes of a batch of slices.

    Attributes:
        image: the result, (slice, x, set, y).
        noise: standard deviation of the linear solution, where the network was used.
        clipped: part (slice) of the object's pixels that the bound held back, where the network was used.
        unused: why it was not used.
    """

    image: Tensor
    noise: Tensor | None = None
    clipped: Tensor | None = None
    unused: str | None = None


def learned_images(known: Classical, model: Unrolled | None = None) -> LearnedImages:
    """Refine a batch of slices, with the package's own model or another."""
    model = packaged_model() if model is None else model
    unused = NO_WEIGHTS if model is None else outside_domain(known.encoding, known.right_side)
    if model is None or unused is not None:
        return LearnedImages(known.plain(), unused=unused)
    model = on_device(model, known.image.device)
    noise = analytic_noise_map(known.encoding, known.wiener)
    images, clipped = [], []
    for s in range(len(known.image)):
        refined, held = _refined_slice(known, noise, s, model)
        images.append(refined)
        inside = (known.encoding.maps[s, :, 0] != 0).any(1)
        clipped.append((held & inside).sum() / inside.sum().clamp(min=1))
    return LearnedImages(torch.stack(images)[:, :, None], noise, torch.stack(clipped))


def reason_against(encoding: CartesianEncoding, right_side: Tensor) -> str | None:
    """Why the package's network cannot be used on such data; None where it can."""
    return NO_WEIGHTS if packaged_model() is None else outside_domain(encoding, right_side)


def trusted_images(known: Classical, scan: HybridScan) -> Solved:
    """Images of the network, or of compressed sensing where it does not know the data or contradicts them.

    Args:
        known: of the slices.
        scan: their data.
    """
    found = learned_images(known)
    if found.clipped is None:
        note = f"the network was not used: {found.unused}. Compressed sensing made these images."
        return Solved(found.image, notes=(note,))
    complaints = _complaints(known, scan, found.image)
    kept = torch.tensor([text is None for text in complaints], device=found.image.device)
    replaced = [text for text in complaints if text is not None]
    image = torch.where(kept[:, None, None, None], found.image, known.plain()) if replaced else found.image
    notes = tuple(replaced_note(text) for text in replaced)
    if bool(kept.any()):
        notes += (held_back_note(float(found.clipped[kept].max())),)
    return Solved(image, found.noise, bool(kept.any()), notes)


def _complaints(known: Classical, scan: HybridScan, image: Tensor) -> list[str | None]:
    """What there is against each slice; compressed sensing's fit is only looked at where limits are not met."""
    fits = data_fit(known.encoding, scan, image)
    if all(fit.is_good for fit in fits):
        return [None] * len(fits)
    return [complaint(*pair) for pair in zip(fits, data_fit(known.encoding, scan, known.image), strict=True)]


def _refined_slice(known: Classical, noise: Tensor, s: int, model: Unrolled) -> tuple[Tensor, Tensor]:
    """Image (x, y) of one slice, and where the bound held it back."""
    encoding = known.encoding
    problem = problem_of_slice(encoding, known.right_side, known.image, noise, s)
    normal = normal_of_slice(encoding, s)
    weight = known.wiener[s].reshape(()) / largest_count(encoding)[s].reshape(())
    look = first_look(problem, normal)
    with torch.no_grad(), fast_convolutions(noise.device):
        image = model(problem, normal, (look.folded, look.unfolded))[-1]
    image, held = bounded(image, look.linear(weight), problem.noise)
    return image[0], held[0]
