"""The unrolled reconstruction: compressed sensing, refined by a few networks in turn, then made consistent with the data.

    x₀ = compressed sensing
    e = Aᴴ y - Aᴴ A x,   d = (Aᴴ A + 0.05)⁻¹ e          what the data say against x, folded and unfolded
    a = D_k(φ* (x - blurred x), φ* d, φ* e, noise)            φ: phase of blurred x,   D_k real,   k = 1 ... K
    b = D₁(φ* (x - blurred x) / i, φ* d / i, φ* e / i, noise)
    x ← x + φ a  [+ i μ (Aᴴ A + μ)⁻¹ φ b  for k = 1]
    x ← x + (Aᴴ A + λ)⁻¹ (Aᴴ y - Aᴴ A x)                 soft data consistency, about as good as that of x₀: `agreement.py`

d still holds every weak structure that shrinkage took for noise, together with the noise; the noise map tells D how much of it
there is at each place. Turned by the phase around it the object is nearly real, so a network need not learn every phase. What
lies across that phase is mostly noise, which magnitudes do not show, but edges have signal there too (relaxation during the echo
train, chemical shift), and no network need guess which is which: that part changes only where the data say nothing, and what
compressed sensing made of it is a guess as well. There the first network is asked again, as if that part were the image. A
network that answered for both parts at once did worse with either (docs/learned.md).

The first network also answers to the image turned by half; the mean of both errs less. A network sees some 40 pixels around, and
aliasing comes from far away: what is left of it after D₁ shows in the next d.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from knerve.recon.learned.agreement import made_consistent, surplus_of
from knerve.recon.learned.consistency import differentiable_solve
from knerve.recon.learned.network import Architecture, ResidualUNet, as_channels, as_complex, phase_of
from knerve.recon.learned.problem import Normal, Problem

FIRST_GAINS = (0.3, 0.3, 0.5, 0.5, 1.0, 1.0, 0.5)  # details are larger than what is wrong with them
BLUR = 9  # pixels, 8 + 1: what is smoother says nothing about errors, but is a hundred times as large
MARGIN = 16  # pixels around the object
COARSEST = 8  # pixels, of the network
UNFOLDING_WEIGHT = 0.05
UNFOLDING_ITERATIONS = 5
CONSISTENCY_ITERATIONS = 3
UNKNOWN_WEIGHT = 0.1  # μ: what the data tell with less power than this is unknown
UNKNOWN_ITERATIONS = 3
BY_HALF = (-2, -1)  # turned


class Unrolled(nn.Module):
    """The learned part of the reconstruction.

    Attributes:
        architecture: its sizes.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        steps = range(architecture.n_steps)
        self.networks = nn.ModuleList(ResidualUNet(architecture) for _ in steps)
        self.gains = nn.ParameterList(nn.Parameter(torch.tensor(FIRST_GAINS)) for _ in steps)

    def forward(self, problem: Problem, normal: Normal, first: tuple[Tensor, Tensor] | None = None) -> list[Tensor]:
        """The images (batch, x, y) after each step, the consistent one last.

        Args:
            problem: the data and x₀.
            normal: Aᴴ A.
            first: e and d of x₀ where they are known, both (batch, x, y).
        """
        image, images = problem.start, []
        before = folded = problem.right - normal(image) if first is None else first[0]
        box = object_box(problem.noise)
        for step in range(self.architecture.n_steps):
            d = first[1] if first is not None and step == 0 else unfolded(normal, folded)
            seen = Seen.of(image, d, folded, problem.noise, box)
            image = image + self.change(step, seen, normal)
            folded = problem.right - normal(image)
            images.append(image)
        surplus = surplus_of(image - problem.start, before, folded)
        return [*images, made_consistent(normal, image, folded, surplus, CONSISTENCY_ITERATIONS)]

    def refined(self, step: int, image: Tensor, unfolded: Tensor, folded: Tensor, noise: Tensor) -> Tensor:
        """One application of the network as the stages on crops train it: asked once.

        Args:
            step: which, from 0.
            image: (batch, x, y).
            unfolded: d, same shape.
            folded: e, same shape.
            noise: standard deviation, broadcasts to the same shape.
        """
        seen = Seen.of(image, unfolded, folded, noise, object_box(noise))
        return image + seen.placed(self.answer(step, seen.channels))

    def change(self, step: int, seen: Seen, normal: Normal) -> Tensor:
        """What a step adds to images (batch, x, y).

        The first one: the mean of two answers along the phase, and across it what the data leave unknown.
        """
        answer = self.answer(step, seen.channels)
        if step:
            return seen.placed(answer)
        turned = self.answer(step, seen.channels.flip(BY_HALF)).flip(BY_HALF)
        across = 1j * seen.placed(self.answer(step, seen.across))
        return seen.placed((answer + turned) / 2) + unknown_part(normal, across)

    def answer(self, step: int, channels: Tensor) -> Tensor:
        """Corrections (batch, x, y), real."""
        channels = channels * self.gains[step][:, None, None]
        if not torch.is_grad_enabled():
            channels = channels.contiguous(memory_format=torch.channels_last)
        answer: Tensor = self.networks[step](channels)
        return answer.float()


@dataclass(frozen=True)
class Seen:
    """What networks see of images: their object alone, turned by the phase around each pixel.

    Attributes:
        shape: (batch, x, y) of the images.
        box: columns and rows with the object.
        phase: factors (batch, x, y) there.
        channels: (batch, 7, x, y): real and imaginary parts of the image less its mean around, of d and of e; noise.
    """

    shape: torch.Size
    box: tuple[slice, slice]
    phase: Tensor
    channels: Tensor

    @classmethod
    def of(cls, image: Tensor, unfolded: Tensor, folded: Tensor, noise: Tensor, box: tuple[slice, slice]) -> Seen:
        """Arguments as of `Unrolled.refined`, and the object's box."""
        columns, rows = box
        smooth = as_complex(blurred(as_channels(image)))
        phase = phase_of(smooth[:, columns, rows])
        images = (image - smooth, unfolded, folded)
        parts = [as_channels(phase.conj() * each[:, columns, rows]) for each in images]
        return cls(
            image.shape, box, phase, torch.cat([*parts, noise.expand(image.shape)[:, None, columns, rows]], dim=1)
        )

    @property
    def across(self) -> Tensor:
        """The channels with what lies across the phase as real parts."""
        real, imaginary = self.channels[:, :-1:2], self.channels[:, 1:-1:2]
        return torch.cat([torch.stack([imaginary, -real], 2).flatten(1, 2), self.channels[:, -1:]], dim=1)

    def placed(self, correction: Tensor) -> Tensor:
        """A real correction (batch, x, y) of the object along its phase, as a complex image; 0 elsewhere."""
        image = self.phase.new_zeros(self.shape)
        image[:, self.box[0], self.box[1]] = self.phase * correction
        return image


def local_phase(image: Tensor) -> Tensor:
    """Phase factors (batch, x, y) of the 9 x 9 pixels around each."""
    return phase_of(as_complex(blurred(as_channels(image))))


def blurred(channels: Tensor) -> Tensor:
    """Mean of the 9 x 9 pixels around each, shaped as the channels (batch, channel, x, y); 0 beyond the edges."""
    for dim in (-2, -1):
        reach = (0, 0, BLUR // 2, BLUR // 2) if dim == -2 else (BLUR // 2, BLUR // 2)
        ones = functional.pad(channels, reach)
        twos = _with_next(ones, 1, dim)
        eights = _with_next(_with_next(twos, 2, dim), 4, dim)
        n = channels.shape[dim]
        channels = (eights.narrow(dim, 0, n) + ones.narrow(dim, BLUR - 1, n)) / BLUR
    return channels


def _with_next(sums: Tensor, distance: int, dim: int) -> Tensor:
    """Every value plus the one so far on."""
    n = sums.shape[dim] - distance
    return sums.narrow(dim, 0, n) + sums.narrow(dim, distance, n)


def unknown_part(normal: Normal, image: Tensor) -> Tensor:
    """What of images (batch, x, y) the data say next to nothing about, μ (Aᴴ A + μ)⁻¹ x."""
    return UNKNOWN_WEIGHT * differentiable_solve(normal, UNKNOWN_WEIGHT, image, UNKNOWN_ITERATIONS)


def unfolded(normal: Normal, folded: Tensor) -> Tensor:
    """Image d of image e, both (batch, x, y)."""
    return differentiable_solve(normal, UNFOLDING_WEIGHT, folded, UNFOLDING_ITERATIONS)


def object_box(noise: Tensor) -> tuple[slice, slice]:
    """Columns and rows that hold the object, and a margin: where there is no sensitivity, all channels are zero.

    The box begins where the network's coarsest pixels begin, so that they mean the same with and without it.
    """
    seen = noise.reshape(-1, *noise.shape[-2:]).amax(0) > 0
    sides = []
    for dim in (1, 0):
        found = torch.nonzero(seen.any(dim)).flatten()
        n = seen.shape[1 - dim]
        low, high = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, n)
        sides.append(slice(max(0, (low - MARGIN) // COARSEST * COARSEST), min(n, high + MARGIN)))
    return sides[0], sides[1]
