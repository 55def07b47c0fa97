"""DeepInverse (https://deepinv.github.io): FISTA with wavelets. It brings no calibration of its own."""

from __future__ import annotations

from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from knerve.bench.methods import Method, Search, Setting
from knerve.bench.peers.in_memory import Array, InMemoryPeer, Look
from knerve.bench.peers.sigpy_wavelet import espirit

if TYPE_CHECKING:
    from torch import Tensor

WAVELET, LEVELS = "db4", 4


class DeepInverse(InMemoryPeer):
    """DeepInverse on one case."""

    calibrates = False

    def calibrate(self) -> Array:
        """SigPy's sensitivities."""
        return espirit(self.kspace, self.width)

    def solve(self, maps: Array, setting: Setting, look: Look | None) -> Array:
        """FISTA from the zero-filled image, real and imaginary part as two channels."""
        import torch
        from deepinv.optim import FISTA, L2, WaveletPrior
        from deepinv.physics import MultiCoilMRI

        def show(_earlier: list[float], _before: Tensor, now: Tensor) -> float:
            if look is not None:
                look(_complex(now))
            return 0.0

        physics = MultiCoilMRI(
            mask=torch.from_numpy(self.mask.astype(np.float32)), coil_maps=torch.from_numpy(maps)[None]
        )
        solver = FISTA(
            L2(),
            WaveletPrior(level=LEVELS, wv=WAVELET),
            lambda_reg=setting.weight,
            stepsize=1.0,
            max_iter=setting.iterations,
            custom_metrics=None if look is None else {"look": show},
        )
        samples = torch.view_as_real(torch.from_numpy(self.kspace)).movedim(-1, 0)[None].contiguous()
        found = solver(samples, physics, compute_metrics=look is not None)
        return _complex((found if look is None else found[0])[0])


def _complex(channels: Tensor) -> Array:
    """(2, y, x) to the complex image."""
    parts = channels.numpy()
    image: Array = (parts[0] + 1j * parts[1]).astype(np.complex64)
    return image


def missing() -> str | None:
    """Why DeepInverse cannot run here."""
    absent = [name for name in ("deepinv", "ptwt") if not find_spec(name)]
    how = f"install torch for the CPU first, then pip install {' '.join(absent)}"
    return f"not installed: {how}" if absent else None


METHODS = (
    Method(
        name="deepinv",
        home=__name__,
        label="DeepInverse",
        counted=f"FISTA with wavelets ({WAVELET}, {LEVELS} levels), in a warm process from k-space in memory; sensitivities are "
        "given and not counted",
        start=DeepInverse,
        missing=missing,
        version=lambda: f"DeepInverse {distribution_version('deepinv')}",
        search=Search("deepinv", start=0.002),
    ),
)
