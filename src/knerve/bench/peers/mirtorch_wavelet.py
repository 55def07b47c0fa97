"""MIRTorch (https://github.com/guanhuaw/MIRTorch): POGM with orthogonal wavelets. It brings no calibration.

Its periodised wavelets are orthogonal only where the sides can be halved as often as there are levels.
"""

from __future__ import annotations

from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from knerve.bench.methods import Method, Search, Setting
from knerve.bench.peers.in_memory import Array, InMemoryPeer, Look
from knerve.bench.peers.sigpy_wavelet import espirit

if TYPE_CHECKING:
    from torch import Tensor

WAVELET = "db4"
MOST_LEVELS = 4


class MirTorch(InMemoryPeer):
    """MIRTorch on one case."""

    calibrates = False

    def calibrate(self) -> Array:
        """SigPy's sensitivities."""
        return espirit(self.kspace, self.width)

    def solve(self, maps: Array, setting: Setting, look: Look | None) -> Array:
        """POGM from the zero-filled image."""
        import torch
        from mirtorch.alg import POGM
        from mirtorch.linear import Sense, Wavelet2D
        from mirtorch.prox import L1Regularizer

        ny, nx = self.mask.shape
        sense = Sense(torch.from_numpy(maps), torch.from_numpy(self.mask).to(torch.complex64), batchmode=False)
        levels = halvings((ny, nx))
        wavelet = Wavelet2D([ny, nx], wave_type=WAVELET, padding="periodization", J=levels)
        first = sense.H * torch.from_numpy(self.kspace)

        def gradient(image: Tensor) -> Tensor:
            return sense.H * (sense * image) - first

        def show(image: Tensor) -> float:
            if look is not None:
                look(image.numpy())
            return 0.0

        solver = POGM(
            gradient,
            1.0,
            L1Regularizer(setting.weight, T=wavelet),
            max_iter=setting.iterations,
            eval_func=None if look is None else show,
        )
        found = solver.run(first)
        image: Array = (found if look is None else found[0]).numpy()
        return image


def halvings(sides: tuple[int, int]) -> int:
    """How often both sides can be halved, at least once and at most `MOST_LEVELS` times."""
    levels = 1
    while levels < MOST_LEVELS and all(side % 2 ** (levels + 1) == 0 for side in sides):
        levels += 1
    return levels


def missing() -> str | None:
    """Why MIRTorch cannot run here."""
    return (
        None if find_spec("mirtorch") else "not installed: install torch for the CPU first, then pip install mirtorch"
    )


METHODS = (
    Method(
        name="mirtorch",
        home=__name__,
        label="MIRTorch",
        counted=f"POGM with wavelets ({WAVELET}), in a warm process from k-space in memory; sensitivities are given, "
        "not counted",
        start=MirTorch,
        missing=missing,
        version=lambda: f"MIRTorch {distribution_version('mirtorch')}",
        search=Search("mirtorch", start=0.002),
    ),
)
