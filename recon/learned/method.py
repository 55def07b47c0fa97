"""The method dl: compressed sensing, refined by the trained network within bounds, or left alone where it cannot be trusted."""

from __future__ import annotations

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

NO_WEIGHTS = "this installation comes without trained weights"


@dataclass(frozen=True)
class Classical:
    """What is known of a batch of slices without the network.

    Attributes:
        encoding: A.
        right_side: Aᴴ y, (slice, x, set, y).
        image: compressed sensing, same shape.
        wiener: weight of linear SENSE, (slice, 1, 1, 1).
    """

    encoding: CartesianEncoding
    right_side: Tensor
    image: Tensor
    wiener: Tensor


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
        return LearnedImages(known.image, unused=unused)
    model = on_device(model, known.image.device)
    noise = analytic_noise_map(known.encoding, known.wiener)
    images, clipped = [], []
    for s in range(len(known.image)):
        refined, held = _refined_slice(known, noise, s, model)
        images.append(refined)
        inside = known.encoding.maps[s, :, 0].abs().amax(1) > 0
        clipped.append((held & inside).sum() / inside.sum().clamp(min=1))
    return LearnedImages(torch.stack(images)[:, :, None], noise, torch.stack(clipped))


def trusted_images(known: Classical, scan: HybridScan) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Images, their noise map if one was made, and notes; compressed sensing where the network contradicts the data.

    Args:
        known: of the slices.
        scan: their data.
    """
    found = learned_images(known)
    if found.clipped is None:
        return found.image, None, (f"the network was not used: {found.unused}. Compressed sensing made these images.",)
    fits = (data_fit(known.encoding, scan, image) for image in (found.image, known.image))
    complaints = [complaint(learned, classical) for learned, classical in zip(*fits, strict=True)]
    kept = torch.tensor([text is None for text in complaints], device=found.image.device)
    image = torch.where(kept[:, None, None, None], found.image, known.image)
    replaced = [text for text in complaints if text is not None]
    notes = tuple(replaced_note(text) for text in replaced)
    if bool(kept.any()):
        notes += (held_back_note(float(found.clipped[kept].max())),)
    return image, found.noise, notes


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
