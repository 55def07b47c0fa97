"""A convolutional network without biases at half precision: tensor cores, channels last, CUDA graphs.

Float16 has 11 bits, bfloat16 8: with the inputs scaled to the middle of float16's range, which a network without biases and
normalisation undoes exactly, errors are a tenth of bfloat16's.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict

import torch
from torch import Tensor, nn

from knerve.gpu.cuda_graph import Replayed

LARGEST = 16.0  # what inputs are scaled to: far from float16's largest number, 65504, and from its smallest
KEPT = 8  # shapes, the last ones
FIRST_CALLS = 16  # of a shape before it is recorded: images of one exam differ, those of a live scan repeat


class HalfPrecisionNetwork(nn.Module):
    """D(x) of a network with D(a x) = a D(x) for a > 0; float32 (batch, channel, x, y) in and out, no gradients.

    Args:
        network: at float32; it is copied.
        number: type of the numbers between the layers.
    """

    def __init__(self, network: nn.Module, number: torch.dtype = torch.float16) -> None:
        super().__init__()
        half = copy.deepcopy(network).to(number)
        self.network = half.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of nn.Module, untyped
        self.network.requires_grad_(False).eval()
        self._number = number
        self._lock = threading.Lock()  # threads share the places of inputs and outputs
        self._fixed: OrderedDict[tuple[int, ...], _FixedShape] = OrderedDict()

    def forward(self, channels: Tensor) -> Tensor:
        """The network's output."""
        shape = tuple(channels.shape)
        with self._lock:
            if shape not in self._fixed:
                while len(self._fixed) >= KEPT:
                    self._fixed.popitem(last=False)
                self._fixed[shape] = _FixedShape(self, channels)
            self._fixed.move_to_end(shape)
            return self._fixed[shape](channels)

    @torch.no_grad()
    def computed(self, channels: Tensor) -> Tensor:
        """The same, layer by layer."""
        largest = channels.abs().amax().clamp(min=1e-30)
        scaled = (channels * (LARGEST / largest)).to(self._number, memory_format=torch.channels_last)
        output: Tensor = self.network(scaled)
        return output.float() * (largest / LARGEST)


class _FixedShape:
    """One shape's input, output and graph."""

    def __init__(self, network: HalfPrecisionNetwork, channels: Tensor) -> None:
        self._network, self._input, self._output = network, channels.clone(), torch.empty(0)
        self._replayed = Replayed(channels.device, FIRST_CALLS)

    def __call__(self, channels: Tensor) -> Tensor:
        self._input.copy_(channels)
        self._replayed(self._compute)
        return self._output.clone()

    def _compute(self) -> None:
        self._output = self._network.computed(self._input)
