"""The network: a residual U-Net without biases, so that D(a x, a s) = a D(x, s) for every a > 0.

    pixel-unshuffle by 2  ->  3 x 3  ->  residual blocks at 1/2, 1/4 and 1/8 of the resolution  ->  3 x 3  ->  pixel-shuffle

Without biases and normalisation no brightness and no noise level lies outside of what was trained (Mohan et al. 2020,
arXiv:1906.05478). Complex images are two channels; a noise map is one more. What comes out is real.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

UNSHUFFLE = 2
NO_SIGNAL = 1e-12


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network.

    Attributes:
        n_inputs: channels that go in.
        widths: channels at 1/2, 1/4 and 1/8 of the resolution.
        encoder_blocks: residual blocks at each of them on the way down.
        decoder_blocks: at the two finer ones on the way up, finest first.
        n_steps: networks in turn, each with weights of its own.
    """

    n_inputs: int = 7
    widths: tuple[int, int, int] = (32, 64, 128)
    encoder_blocks: tuple[int, int, int] = (1, 1, 1)
    decoder_blocks: tuple[int, int] = (1, 1)
    n_steps: int = 2


class ResidualBlock(nn.Module):
    """x + W relu(V x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channel, x, y) to the same."""
        return features + self.second(functional.relu(self.first(features)))


class ResidualUNet(nn.Module):
    """Channels (batch, input, x, y) of any size to a correction (batch, x, y), zero before training."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        fine, middle, coarse = architecture.widths
        encoder, decoder = architecture.encoder_blocks, architecture.decoder_blocks
        self.head = nn.Conv2d(architecture.n_inputs * UNSHUFFLE**2, fine, 3, padding=1, bias=False)
        self.down_fine = _blocks(fine, encoder[0])
        self.to_middle = nn.Conv2d(fine, middle, 2, stride=2, bias=False)
        self.down_middle = _blocks(middle, encoder[1])
        self.to_coarse = nn.Conv2d(middle, coarse, 2, stride=2, bias=False)
        self.bottom = _blocks(coarse, encoder[2])
        self.from_coarse = nn.ConvTranspose2d(coarse, middle, 2, stride=2, bias=False)
        self.up_middle = _blocks(middle, decoder[1])
        self.from_middle = nn.ConvTranspose2d(middle, fine, 2, stride=2, bias=False)
        self.up_fine = _blocks(fine, decoder[0])
        self.tail = nn.Conv2d(fine, UNSHUFFLE**2, 3, padding=1, bias=False)
        nn.init.zeros_(self.tail.weight)

    def forward(self, channels: Tensor) -> Tensor:
        """The correction."""
        n_x, n_y = channels.shape[-2:]
        multiple = UNSHUFFLE * 4
        padded = functional.pad(channels, (0, -n_y % multiple, 0, -n_x % multiple))
        fine = self.down_fine(self.head(functional.pixel_unshuffle(padded, UNSHUFFLE)))
        middle = self.down_middle(self.to_middle(fine))
        coarse = self.bottom(self.to_coarse(middle))
        middle = self.up_middle(middle + self.from_coarse(coarse))
        fine = self.up_fine(fine + self.from_middle(middle))
        correction: Tensor = functional.pixel_shuffle(self.tail(fine), UNSHUFFLE)
        return correction[:, 0, :n_x, :n_y]


def as_channels(image: Tensor) -> Tensor:
    """Complex (batch, x, y) to real and imaginary (batch, 2, x, y)."""
    return torch.view_as_real(image).movedim(-1, 1)


def as_complex(channels: Tensor) -> Tensor:
    """The way back."""
    return torch.view_as_complex(channels.movedim(1, -1).contiguous())


def phase_of(image: Tensor) -> Tensor:
    """Phase factors x / |x| of a complex image; 0 where there is nothing."""
    return image / image.abs().clamp(min=NO_SIGNAL)


def _blocks(width: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(n)))
