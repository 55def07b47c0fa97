"""What the peers that are Python libraries share: k-space in memory, an image in memory, one warm process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from knerve.bench.case_files import CaseFiles
from knerve.bench.methods import Magnitude, Measured, Setting
from knerve.bench.stopwatch import RunWatch

Array = NDArray[np.complex64]
Look = Callable[[Array], None]


class InMemoryPeer(ABC):
    """A library on one case.

    Attributes:
        kspace: (coil, ky, kx), scaled so that weights count in the strongest pixel.
        mask: (ky, kx) bool, sampled.
        width: fully sampled central lines.
        calibrates: whether the library finds sensitivities itself; if not, it is given them and that is not counted.
    """

    calibrates = True

    def __init__(self, files: CaseFiles, _n_threads: int) -> None:  # variables of the process tell BLAS and torch
        kspace = files.kspace()
        self.kspace = kspace / np.float32(strongest_pixel(kspace))
        self.mask = np.abs(kspace).sum(0) > 0
        self.width = files.case.n_calibration
        self._maps: Array | None = None

    @abstractmethod
    def calibrate(self) -> Array:
        """Sensitivities (coil, y, x)."""

    @abstractmethod
    def solve(self, maps: Array, setting: Setting, look: Look | None) -> Array:
        """The image (y, x); `look` is shown the image after every iteration."""

    def run(self, setting: Setting | None) -> tuple[Magnitude, Measured]:
        """From k-space in memory to the image in memory."""
        assert setting is not None, f"{type(self).__name__} is told its weight and iterations"
        given = None if self.calibrates else self._given_maps()
        watch = RunWatch()
        if given is None:
            maps = self.calibrate()
            watch.lap("calibration")
        else:
            maps = given
        image = self.solve(maps, setting, None)
        watch.lap("solve")
        return np.abs(image), watch.stop()

    def curve(self, weight: float, iterations: Sequence[int]) -> Magnitude:
        """One run, looked at on its way."""
        images: list[Magnitude] = []
        n_done = 0

        def look(image: Array) -> None:
            nonlocal n_done
            n_done += 1
            if n_done in iterations:
                images.append(np.abs(image))

        self.solve(self._given_maps(), Setting(weight, max(iterations)), look)
        return np.stack(images)

    def _given_maps(self) -> Array:
        if self._maps is None:
            self._maps = self.calibrate()
        return self._maps


def strongest_pixel(kspace: Array) -> float:
    """Largest root sum of squares of the zero-filled coil images."""
    return float(np.sqrt((np.abs(coil_images(kspace)) ** 2).sum(0)).max())


def coil_images(kspace: Array) -> Array:
    """Centred orthonormal inverse transform over the last two axes."""
    axes = (-2, -1)
    images = np.fft.ifft2(np.fft.ifftshift(kspace, axes=axes), norm="ortho")
    return np.fft.fftshift(images, axes=axes).astype(np.complex64)
