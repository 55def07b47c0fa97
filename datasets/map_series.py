"""Trust maps as series of their own, for the writers of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from knerve.datasets.plane_series import PlaneSeries

if TYPE_CHECKING:
    from knerve.recon.learned.maps.results import TrustMap


@dataclass(frozen=True)
class MapLabel:
    """What tells the series of a map from that of the images.

    Attributes:
        key: short name.
        title: what it shows.
        unit: of its values.
        number: of the map, from 0.
    """

    key: str
    title: str
    unit: str
    number: int

    @property
    def window(self) -> str:
        """The scale as a caption states it."""
        return f"{self.title}, in {self.unit}"


def map_series(series: PlaneSeries, shown: TrustMap) -> PlaneSeries:
    """The map laid out as the images are."""
    values = shown.values.cpu().numpy().reshape(series.pixels.shape)
    return replace(series, pixels=values, snr=None, noise_level=None, window_top=shown.top)


def map_label(shown: TrustMap, number: int) -> MapLabel:
    """Its label."""
    return MapLabel(shown.key, shown.title, shown.unit, number)
