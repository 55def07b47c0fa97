"""Layers of the knee on an image plane: fractions of tissues, labels, or one structure's coverage of each pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from knerve.datasets.knee.fields import Field
from knerve.datasets.knee.layers import Layer, Material
from knerve.datasets.knee.noise import Textures
from knerve.datasets.knee.paint_arrays import Layers, Looks, Output, Raster
from knerve.datasets.knee.painting import paint_rows
from knerve.datasets.knee.sampling import field_on_plane
from knerve.datasets.knee.tube_segments import N_COLUMNS, boxes_around, near_plane, tube_segments

Float32 = NDArray[np.float32]
Real = NDArray[np.float64]
Integers = NDArray[np.int32]

COARSE_STEP_MM = 0.5  # fields vary slowly: between these points they are read bilinearly
MOST_TERMS = 4
TILE_MM = 1.6
PLANE_THICKNESS_MM = 0.5  # of what is called a thin plane: a few of them make a slice without terraces


@dataclass(frozen=True)
class Packed:
    """Layers as arrays for the compiled loops; see `paint_arrays`."""

    fields: tuple[Field, ...]
    layer_fields: Integers
    layer_terms: Real
    layer_style: Real
    layer_tube: Integers
    segments: Real
    materials: Real
    textures: Textures


def pack(layers: Sequence[Layer], tissues: Sequence[str], structures: Sequence[str], textures: Textures) -> Packed:
    """Arrays of the layers, bottom first."""
    fields: dict[int, tuple[int, Field]] = {}
    materials: dict[Material, int] = {}
    segments, n_segments = [np.empty((0, N_COLUMNS))], 0
    layer_fields = np.full((len(layers), MOST_TERMS), -1, np.int32)
    layer_terms = np.zeros((len(layers), MOST_TERMS, 2))
    layer_style = np.zeros((len(layers), 5))
    layer_tube = np.zeros((len(layers), 2), np.int32)
    for i, layer in enumerate(layers):
        for n, term in enumerate(layer.terms):
            layer_fields[i, n] = fields.setdefault(id(term.field), (len(fields), term.field))[0]
            layer_terms[i, n] = term.sign, term.offset
        if layer.tube is not None:
            segments.append(tube_segments(layer.tube))
            layer_tube[i] = n_segments, n_segments + len(segments[-1])
            n_segments += len(segments[-1])
        material = materials.setdefault(layer.material, len(materials))
        label = structures.index(layer.structure)
        layer_style[i] = material, label, layer.soft_mm, layer.rough_mm, layer.rough_grain_mm
    rows = np.array([_material_row(material, tissues) for material in materials])
    ordered = tuple(field for _, field in fields.values())
    every_segment = np.concatenate(segments)
    return Packed(ordered, layer_fields, layer_terms, layer_style, layer_tube, every_segment, rows, textures)


def _material_row(material: Material, tissues: Sequence[str]) -> list[float]:
    second = -1 if material.second is None else tissues.index(material.second)
    return [
        tissues.index(material.tissue),
        second,
        material.mean,
        material.cloud,
        material.cloud_mm,
        material.wall,
        material.wall_mm,
        material.cell_mm,
        material.stretch,
        *material.along,
        material.patchy,
    ]


@dataclass(frozen=True)
class View:
    """A raster in the knee's frame.

    Attributes:
        frame: (3, 3) the plane's centre, and the unit vectors of u and v.
        u_mm: pixel centres.
        v_mm: pixel centres.
    """

    frame: Real
    u_mm: Real
    v_mm: Real


NO_WEIGHTS = np.empty(0)
NO_FRACTIONS = np.empty((0, 0, 0), np.float32)
NO_LABELS = np.empty((0, 0), np.int32)
NOTHING_WANTED = np.empty((0, 0), np.float32)


def paint_fractions(packed: Packed, view: View, weights: Real, fractions: Float32) -> None:
    """Add weight (tissue) times the covered part of each pixel to fractions (tissue, y, x)."""
    _paint(packed, view, Output(np.asarray(weights, float), fractions, NO_LABELS, -1, NOTHING_WANTED))


def paint_labels(packed: Packed, view: View) -> Integers:
    """Index (y, x) of the structure that covers most of each pixel; 0 is air."""
    labels = np.zeros((len(view.v_mm), len(view.u_mm)), np.int32)
    _paint(packed, view, Output(NO_WEIGHTS, NO_FRACTIONS, labels, -1, NOTHING_WANTED))
    return labels


def paint_structure(packed: Packed, view: View, label: int) -> Float32:
    """Part (y, x) of each pixel that one structure covers."""
    wanted = np.zeros((len(view.v_mm), len(view.u_mm)), np.float32)
    _paint(packed, view, Output(NO_WEIGHTS, NO_FRACTIONS, NO_LABELS, label, wanted))
    return wanted


def _paint(packed: Packed, view: View, output: Output) -> None:
    pixel = abs(float(view.u_mm[1] - view.u_mm[0]))
    tile = int(np.clip(round(TILE_MM / pixel), 4, 16))
    start, coarse = _coarse_fields(packed, view)
    raster = Raster(view.u_mm, view.v_mm, view.frame, PLANE_THICKNESS_MM, tile, coarse, start, COARSE_STEP_MM)
    layers = _layers(packed, view)
    looks = Looks(packed.materials, packed.textures.clouds, packed.textures.walls)
    n_rows = len(view.v_mm)
    bands = [(first, min(first + 4 * tile, n_rows)) for first in range(0, n_rows, 4 * tile)]
    _share(lambda rows: paint_rows(*rows, raster, layers, looks, output), bands)


def _share(work: Callable[[tuple[int, int]], object], bands: list[tuple[int, int]]) -> None:
    """Do the bands on as many threads as torch may use."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in pool.map(work, bands):
            pass


def _coarse_fields(packed: Packed, view: View) -> tuple[Real, Float32]:
    """Where the coarse raster starts (u, v), and every field on it (field, v, u)."""
    low = np.array([view.u_mm.min(), view.v_mm.min()]) - COARSE_STEP_MM
    span = np.array([np.ptp(view.u_mm), np.ptp(view.v_mm)]) + 3 * COARSE_STEP_MM
    n_u, n_v = (int(n) for n in np.ceil(span / COARSE_STEP_MM))
    coarse = np.empty((len(packed.fields), n_v, n_u), np.float32)
    start = view.frame[0] + low[0] * view.frame[1] + low[1] * view.frame[2]
    steps = COARSE_STEP_MM * view.frame[1:]

    def fill(which: tuple[int, int]) -> None:
        field, out = packed.fields[which[0]], coarse[which[0]]
        origin, spacing = np.array(field.grid.low), np.array(field.grid.spacing)
        field_on_plane(field.values, origin, spacing, start, steps[0], steps[1], out)

    _share(fill, [(i, i + 1) for i in range(len(packed.fields))])
    return low, coarse


def _layers(packed: Packed, view: View) -> Layers:
    """The layers, with those tube segments that lie near the plane, in its coordinates."""
    normal = np.cross(view.frame[1], view.frame[2])
    axes = np.stack([view.frame[1], view.frame[2], normal], axis=-1)
    segments, tube, boxes = near_plane(packed.segments, packed.layer_tube, view.frame[0], axes)
    return Layers(
        fields=packed.layer_fields,
        terms=packed.layer_terms,
        style=packed.layer_style,
        tube=tube,
        tube_box=boxes_around(boxes, tube),
        segments=segments,
        segment_box=boxes,
    )
