"""The method once more, on data that were changed on purpose, beside the simpler method that it must not fall behind."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.learned.maps.prepared import PreparedSlice
from knerve.recon.learned.method import learned_images
from knerve.recon.learned.trust import complaint, data_fit
from knerve.recon.methods import METHODS, classical
from knerve.recon.settings import Settings


@dataclass(frozen=True)
class Pair:
    """Images (1, x, set, y) of one slice by two methods.

    Attributes:
        image: by the method itself.
        reference: by the simpler one.
        unused: why the network was not used, where it should have been.
    """

    image: Tensor
    reference: Tensor
    unused: str | None = None


@dataclass(frozen=True)
class Refit:
    """What makes the images of a slice.

    Attributes:
        settings: those of the images.
        method: "dl" with compressed sensing as reference, or "cs" with SENSE.
    """

    settings: Settings
    method: str

    @property
    def reference(self) -> str:
        """Name of the simpler method."""
        return "cs" if self.method == "dl" else "sense"

    def image(self, encoding: CartesianEncoding, right_side: Tensor) -> Tensor:
        """The method's own image of a right side alone."""
        if self.method == "dl":
            return self(encoding, right_side).image
        return METHODS[self.method](encoding, right_side, self.settings)

    def __call__(self, encoding: CartesianEncoding, right_side: Tensor) -> Pair:
        """Both images of a right side Aᴴ y (1, x, set, y)."""
        if self.method != "dl":
            image, reference = (
                METHODS[name](encoding, right_side, self.settings) for name in (self.method, self.reference)
            )
            return Pair(image, reference)
        known = classical(encoding, right_side, self.settings)
        found = learned_images(known)
        return Pair(found.image, known.image, found.unused)


def refit_of(slice_: PreparedSlice, settings: Settings) -> tuple[Refit, Pair]:
    """How the image of this slice was made, and both images: with the network, or without where it was not trusted."""
    refit = Refit(settings, settings.method)
    pair = refit(slice_.encoding, slice_.right_side)
    if settings.method != "dl" or (pair.unused is None and _is_trusted(slice_, pair)):
        return refit, pair
    plain = Refit(settings, "cs")
    return plain, plain(slice_.encoding, slice_.right_side)


def _is_trusted(slice_: PreparedSlice, pair: Pair) -> bool:
    fits = (data_fit(slice_.encoding, slice_.hybrid, image) for image in (pair.image, pair.reference))
    return all(complaint(learned, plain) is None for learned, plain in zip(*fits, strict=True))
