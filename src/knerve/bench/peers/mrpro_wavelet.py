"""mrpro (https://github.com/PTB-MR/mrpro): sensitivities by Inati's method, FISTA over wavelet coefficients.

As its examples do it, with the largest step that is safe: sensitivities and wavelets have unit norm.
"""

from __future__ import annotations

from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from knerve.bench.methods import Method, Search, Setting
from knerve.bench.peers.in_memory import Array, InMemoryPeer, Look, coil_images

if TYPE_CHECKING:
    from mrpro.algorithms.optimizers.pgd import PGDStatus

WAVELET = "db4"
SMOOTHING_PIXELS = 5  # mrpro's default


class Mrpro(InMemoryPeer):
    """mrpro on one case."""

    def calibrate(self) -> Array:
        """From images of the centre of k-space, smoothed against ringing."""
        import torch
        from mrpro.algorithms.csm import inati

        images = torch.from_numpy(coil_images(self.kspace * self._centre()))
        maps: Array = inati(images[:, None], SMOOTHING_PIXELS)[:, 0].numpy()
        return maps

    def solve(self, maps: Array, setting: Setting, look: Look | None) -> Array:
        """FISTA over the coefficients of the image, from the zero-filled one."""
        import torch
        from mrpro.algorithms.optimizers import pgd
        from mrpro.operators import FastFourierOp, SensitivityOp, WaveletOp
        from mrpro.operators.functionals import L1Norm, L2NormSquared

        wavelet = WaveletOp(self.mask.shape, dim=(-2, -1), wavelet_name=WAVELET)
        encoding = FastFourierOp(dim=(-2, -1)) @ SensitivityOp(torch.from_numpy(maps)[None, :, None])
        target = torch.from_numpy(self.kspace)[None, :, None]
        weight = torch.from_numpy(self.mask.astype(np.float32))
        misfit = 0.5 * L2NormSquared(target=target, weight=weight) @ encoding @ wavelet.H

        def show(status: PGDStatus) -> None:
            if look is not None:
                look(wavelet.adjoint(status["solution"][0])[0].numpy().squeeze())

        (first,) = wavelet(*encoding.adjoint(target))
        found = pgd(
            misfit,
            setting.weight * L1Norm(),
            first,
            stepsize=1.0,
            max_iterations=setting.iterations,
            callback=None if look is None else show,
        )
        image: Array = wavelet.adjoint(*found)[0].numpy().squeeze()
        return image

    def _centre(self) -> Array:
        """Window (ky, kx) about the fully sampled lines, falling to zero at their edge."""
        window = np.ones((1, 1))
        for n in self.mask.shape:
            line = np.zeros(n)
            line[n // 2 - self.width // 2 : n // 2 - self.width // 2 + self.width] = np.hanning(self.width)
            window = window * (line[:, None] if window.shape == (1, 1) else line[None, :])
        return window.astype(np.complex64)


def missing() -> str | None:
    """Why mrpro cannot run here."""
    return None if find_spec("mrpro") else "not installed: install torch for the CPU first, then pip install mrpro"


METHODS = (
    Method(
        name="mrpro",
        home=__name__,
        label="mrpro",
        counted=f"sensitivities (Inati) and FISTA over wavelet coefficients ({WAVELET}), in a warm process from k-space in "
        "memory",
        start=Mrpro,
        missing=missing,
        version=lambda: f"mrpro {distribution_version('mrpro')}",
        search=Search("mrpro", start=0.002),
    ),
)
