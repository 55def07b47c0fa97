"""Every picture of the demo: truth and methods side by side in one grey window, with the nerves marked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from knerve.demo_hanging import Hanging
from knerve.demo_marks import MARK, Arrow, with_marks
from knerve.demo_nerves import NerveView, is_seen, middle_of
from knerve.demo_pictures import Frame, LightBox, Place
from knerve.demo_truth import Images, Truth

WHITE_PERCENTILE = 99.5  # of the truth
ERROR_WHITE = 0.2  # error maps end at this fraction of the images' white
WHOLE_MM = (144.0, 156.0)
CROP_MM = 16.0
BESIDE_MM = 0.7  # from a nerve's edge to the arrow's tip
ARTERY, VEIN = (225, 70, 60), (80, 130, 255)
SHORT = {"superior-medial": "SM", "superior-lateral": "SL", "inferior-medial": "IM", "inferior-lateral": "IL"}


class Figures:
    """Draws slices and crops of the truth and of every method.

    Attributes:
        truth: of the scan.
        series: what is drawn, by name: (slice, y, x) each.
        views: of the nerves that the slices hold.
        slice: number of the slice that is shown as a whole.
        white: value that is shown white in it.
    """

    def __init__(self, truth: Truth, series: Mapping[str, Images], views: Mapping[str, NerveView]) -> None:
        n_slices, n_rows, n_columns = truth.image.shape
        self.truth = truth
        self.series = series
        self.views = views
        self.slice = int(np.median([view.slice for view in views.values()] or [n_slices // 2]))
        self.white = float(np.percentile(truth.image[self.slice], WHITE_PERCENTILE))
        self._box = LightBox(Hanging.of(truth.planes[0]), truth.pixel_mm, (n_rows, n_columns))

    def whole(self, series: str, per_mm: float) -> Image.Image:
        """The slice through the nerves, each with an arrow from outside."""
        frame = self._box.whole(per_mm, WHOLE_MM)
        shares = {name: self.truth.nerves[name].share[self.slice] for name in self.views}
        arrows = [
            self._arrow(name, middle_of(share), frame, 6.0, SHORT.get(name, name))
            for name, share in shares.items()
            if is_seen(share)
        ]
        picture = self._box.grey(self.series[series][self.slice], frame, self.white)
        return with_marks(picture, per_mm, arrows, 20.0, self._box.hanging.edges)

    def error(self, series: str, per_mm: float) -> Image.Image:
        """How far that slice is from the truth, up to `ERROR_WHITE` of what is shown white."""
        frame = self._box.whole(per_mm, WHOLE_MM)
        difference = self.series[series][self.slice] - self.truth.image[self.slice]
        return with_marks(self._box.error(difference, frame, ERROR_WHITE * self.white), per_mm, (), 20.0, None)

    def crop(self, name: str, series: str, per_mm: float) -> Image.Image:
        """The surroundings of a nerve in the slice of its view, in one window for all series."""
        view = self.views[name]
        frame = self._box.crop(view.place, CROP_MM, per_mm)
        picture = self._box.grey(self.series[series][view.slice], frame, self._white_around(view))
        return with_marks(picture, per_mm, [self._arrow(name, view.place, frame, 2.6, "")], 2.0, None)

    def anatomy(self, name: str, per_mm: float) -> Image.Image:
        """The same place with the nerve and the vessels in colour, where the simulation put them."""
        view, truth = self.views[name], self.truth
        frame = self._box.crop(view.place, CROP_MM, per_mm)
        picture = self._box.grey(truth.image[view.slice], frame, self._white_around(view))
        share = truth.nerves[name].share[view.slice]
        nerve, artery, vein = share / share.max(), truth.arteries[view.slice], truth.veins[view.slice]
        for mask, colour in ((artery, ARTERY), (vein, VEIN), (nerve, MARK)):
            picture = self._box.tinted(picture, mask.astype(np.float32), frame, colour)
        return with_marks(picture, per_mm, (), 2.0, None)

    def _white_around(self, view: NerveView) -> float:
        """Value that is shown white in a crop."""
        (row, column), (dx, dy) = view.place, self.truth.pixel_mm
        top, left = max(round(row - CROP_MM / 2 / dy), 0), max(round(column - CROP_MM / 2 / dx), 0)
        bottom, right = round(row + CROP_MM / 2 / dy), round(column + CROP_MM / 2 / dx)
        return float(np.percentile(self.truth.image[view.slice, top:bottom, left:right], WHITE_PERCENTILE))

    def _arrow(self, name: str, place: Place, frame: Frame, length_mm: float, word: str) -> Arrow:
        """From the side of the skin, ending before the nerve."""
        x, y = self._box.position(place, frame)
        from_right = self._box.is_right_of_middle(place)
        away = (self.truth.nerves[name].diameter_mm / 2 + BESIDE_MM) * frame.per_mm
        return Arrow((x + away if from_right else x - away, y), from_right, length_mm * frame.per_mm, word)
