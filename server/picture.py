"""An image on its way to a client, as onlookers see it: what it is called, where it lies, how it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray

from knerve.datasets.provenance import GEOMETRY_UNKNOWN
from knerve.datasets.xml_node import XmlNode
from knerve.server.messages import Image

LABEL = re.compile(r"\b(FALLBACK|INCOMPLETE(?: \(\d+(?: of \d+)? readouts\))?)(?=\s|$)")
AS_THEY_ARE = (np.dtype("<f4"), np.dtype("<u2"), np.dtype("<i2"))  # pixel types that browsers show
MAGNITUDE = (0, 1)  # image types; the first is what naive writers leave
SKEW_TOLERANCE = 1e-3

Place = tuple[int, ...]
"""Series, contrast, set, phase and slice; a later repetition takes the place of an earlier one."""

Point = tuple[float, float, float]


@dataclass(frozen=True)
class PicturePlane:
    """Where one 2-D image lies in the patient, LPS, mm: pixel (y, x) at `corner + x dx row + y dy column`."""

    corner: Point
    row: Point
    column: Point
    normal: Point


@dataclass(frozen=True, eq=False)
class Picture:
    """One image.

    Attributes:
        number: by which it is asked for.
        image: as it goes to the client.
        arrived_s: after the first readout of its scan.
    """

    number: int
    image: Image
    arrived_s: float

    @property
    def n_bytes(self) -> int:
        """Of the pixels."""
        return self.image.pixels.nbytes

    @property
    def place(self) -> Place:
        """Where it stands among the images of its scan."""
        head = self.image.head
        return tuple(int(head[name]) for name in ("image_series_index", "contrast", "set", "phase", "slice"))

    @cached_property
    def label(self) -> str:
        """FALLBACK or INCOMPLETE, with its numbers; nothing for what is as good as it was meant to be."""
        found = [match[0] for match in LABEL.finditer(self._text("SeriesDescription"))]
        return ", ".join(found)

    @cached_property
    def series_name(self) -> str:
        """How the series was made, short enough for a button."""
        return self._text("SeriesDescriptionAdditional") or self._text("SeriesDescription") or f"series {self.place[0]}"

    @cached_property
    def is_map(self) -> bool:
        """Whether the pixels are no picture of the patient but numbers about one."""
        words = f"{self._text('SeriesDescription')} {self.series_name}".lower().split()
        return int(self.image.head["image_type"]) not in MAGNITUDE or "map" in words

    @cached_property
    def window(self) -> tuple[float, float] | None:
        """Centre and width; None where the sender did not say."""
        centre, width = self._numbers("WindowCenter"), self._numbers("WindowWidth")
        return (centre[0], width[0]) if centre and width and width[0] > 0 else None

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """(dx, dy, thickness) of a pixel; None where the field of view is not told."""
        fov = np.asarray(self.image.head["field_of_view"], np.float64)
        nx, ny, nz = self.image.pixels.shape[:0:-1]
        if not (np.isfinite(fov).all() and (fov[:2] > 0).all() and nx and ny and nz):
            return None
        return float(fov[0] / nx), float(fov[1] / ny), float(max(0.0, fov[2]) / nz)

    @cached_property
    def planes(self) -> tuple[PicturePlane, ...]:
        """Where each partition lies, as `knerve.datasets.slice_planes` has it; none where that is unknown."""
        axes = self._axes()
        if axes is None or self.spacing_mm is None:
            return ()
        row, column, normal = axes
        (dx, dy, depth), (nz, ny, nx) = self.spacing_mm, self.image.pixels.shape[1:]
        centre = np.asarray(self.image.head["position"], np.float64)
        corner = centre - (nx // 2) * dx * row - (ny // 2) * dy * column
        return tuple(
            PicturePlane(_point(corner + (z - nz // 2) * depth * normal), _point(row), _point(column), _point(normal))
            for z in range(nz)
        )

    def bytes_of(self, partition: int) -> tuple[bytes, str]:
        """Pixels of the first channel, rows one after the other, and their type: float32, uint16 or int16."""
        pixels = self.image.pixels[0, partition]
        if pixels.dtype not in AS_THEY_ARE:
            pixels = np.abs(pixels) if np.iscomplexobj(pixels) else pixels
            pixels = pixels.astype("<f4")
        return pixels.tobytes(), pixels.dtype.name

    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
        """Unit vectors along x, along y and along the stack."""
        head = self.image.head
        row = np.asarray(self._numbers("ImageRowDir") or head["read_dir"], np.float64)
        column = np.asarray(self._numbers("ImageColumnDir") or head["phase_dir"], np.float64)
        if GEOMETRY_UNKNOWN in self._text("ImageComments") or row.shape != (3,) or column.shape != (3,):
            return None
        lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
        if not (np.isfinite(lengths).all() and lengths.all() and np.isfinite(head["position"]).all()):
            return None
        row, column = row / lengths[0], column / lengths[1]
        if abs(row @ column) > SKEW_TOLERANCE:
            return None
        normal = np.cross(row, column)
        return row, column, normal if normal @ np.asarray(head["slice_dir"], np.float64) >= 0 else -normal

    @cached_property
    def _attributes(self) -> dict[str, list[str]]:
        try:
            root = XmlNode(fromstring(self.image.attributes), [])
        except (ParseError, DefusedXmlException):  # none, or not what MRD has there
            return {}
        return {meta.text("name"): meta.texts("value") for meta in root.children("meta")}

    def _text(self, name: str) -> str:
        return " ".join(self._attributes.get(name, ()))

    def _numbers(self, name: str) -> list[float]:
        try:
            values = [float(value) for value in self._attributes.get(name, ())]
        except ValueError:
            return []
        return values if np.isfinite(values).all() else []


def _point(vector: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in vector)
    return x, y, z
