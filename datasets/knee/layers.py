"""What is painted, in order: layers of one material each, with the structure's name."""

from __future__ import annotations

from dataclasses import dataclass, field

from knerve.datasets.knee.fields import Field, Point
from knerve.datasets.knee.tubes import Tube


@dataclass(frozen=True)
class Material:
    """A tissue, perhaps with some of a second one: an even part, slow clouds of it, and walls of stretched cells.

    Attributes:
        tissue: name in the tissue table.
        second: name of the second tissue, or None.
        mean: part of the second tissue.
        cloud: standard deviation of that part.
        cloud_mm: grain of the clouds.
        wall: part of the second tissue in the middle of a wall.
        wall_mm: half the wall's width.
        cell_mm: cell size across its long axis.
        stretch: cell length over cell size.
        along: unit vector of the cells' long axis.
        patchy: how much the walls' width and content follow the clouds.
    """

    tissue: str
    second: str | None = None
    mean: float = 0.0
    cloud: float = 0.0
    cloud_mm: float = 4.0
    wall: float = 0.0
    wall_mm: float = 0.2
    cell_mm: float = 3.0
    stretch: float = 1.0
    along: Point = (0.0, 0.0, 1.0)
    patchy: float = 0.5


@dataclass(frozen=True)
class Term:
    """One bound of a shape: sign * distance of the field + offset, mm."""

    field: Field
    offset: float = 0.0
    sign: float = 1.0


@dataclass(frozen=True)
class Layer:
    """Where a material is painted over everything before: inside all terms, or inside the tube.

    Attributes:
        structure: name for the label map.
        material: what.
        terms: bounds of the shape.
        tube: the shape, instead of terms.
        soft_mm: width over which the edge fades; 0 for a sharp edge.
        rough_mm: how far the edge strays.
        rough_grain_mm: over what length it does.
    """

    structure: str
    material: Material
    terms: tuple[Term, ...] = ()
    tube: Tube | None = None
    soft_mm: float = 0.0
    rough_mm: float = 0.0
    rough_grain_mm: float = 3.0


@dataclass
class Painting:
    """Layers as they are collected, bottom first."""

    layers: list[Layer] = field(default_factory=list)

    def solid(
        self,
        structure: str,
        material: Material,
        *terms: Term,
        soft_mm: float = 0.0,
        rough_mm: float = 0.0,
        rough_grain_mm: float = 3.0,
    ) -> None:
        """Paint what lies inside all terms."""
        self.layers.append(
            Layer(
                structure,
                material,
                terms=terms,
                soft_mm=soft_mm,
                rough_mm=rough_mm,
                rough_grain_mm=rough_grain_mm,
            )
        )

    def tube(
        self,
        structure: str,
        material: Material,
        shape: Tube,
        soft_mm: float = 0.0,
        rough_mm: float = 0.0,
        rough_grain_mm: float = 8.0,
    ) -> None:
        """Paint a tube."""
        self.layers.append(
            Layer(structure, material, tube=shape, soft_mm=soft_mm, rough_mm=rough_mm, rough_grain_mm=rough_grain_mm)
        )
