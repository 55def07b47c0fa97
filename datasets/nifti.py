"""Images as NIfTI, one file a volume, placed in RAS coordinates. Needs nibabel: `pip install knerve[nifti]`."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.plane_series import PlaneSeries
from knerve.datasets.provenance import method_keys
from knerve.datasets.slice_planes import Plane, VolumeKey, parallel_step, volume_key
from knerve.recon.errors import OutputError

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_KEY_NAMES = ("repetition", "contrast", "set", "phase")
_SCANNER_COORDINATES = 1
_UNKNOWN_COORDINATES = 0
UNEVEN_STACK = "NIfTI: the slices are not parallel and equally spaced, so that each is a file of its own."


def require_nibabel() -> ModuleType:
    """The nibabel package.

    Raises:
        OutputError: it is not installed.
    """
    try:
        return importlib.import_module("nibabel")
    except ImportError as error:
        raise OutputError(
            "NIfTI output was asked for, but the package nibabel is not installed; run: pip install nibabel"
        ) from error


def write_nifti(series: PlaneSeries, folder: Path) -> tuple[str, ...]:
    """Write `image.nii.gz`, or a numbered file for each repetition, contrast, set and phase, into the new folder.

    Voxels are magnitude in SNR units, float32, (x, y, z) with z along `slice_dir`. Beside each file of compressed sensing or
    deep learning stands a JSON that says so in the keys of BIDS. Returns notes for the user.

    Raises:
        OutputError: nibabel is not installed.
    """
    nibabel = require_nibabel()
    folder.mkdir()
    notes: tuple[str, ...] = ()
    for name, stack in _stacks(series).items():
        step = _step(stack)
        if step is None:
            notes = (UNEVEN_STACK,)
            for plane, index in stack:
                path = folder / f"{name}_slice{plane.entry:03d}.nii.gz"
                _save(nibabel, series, path, [(plane, index)], _thickness_step(plane))
        else:
            _save(nibabel, series, folder / f"{name}.nii.gz", stack, step)
    return notes


def volume_affine(first: Plane, step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxel index (x, y, z) to RAS millimetres, for a stack that begins at `first` and goes on by `step` (LPS)."""
    affine = np.eye(4)
    affine[:3, 0] = first.row_dir * first.spacing_mm[0]
    affine[:3, 1] = first.column_dir * first.spacing_mm[1]
    affine[:3, 2] = step
    affine[:3, 3] = first.corner_mm
    ras: NDArray[np.float64] = _RAS_FROM_LPS @ affine
    return ras


Stack = list[tuple[Plane, int]]  # planes in order along the slice direction, each with its index among all planes


def _stacks(series: PlaneSeries) -> dict[str, Stack]:
    """The volumes of the series by file name; each slab of a 3-D scan is a volume."""
    volumes: dict[tuple[VolumeKey, int], Stack] = {}
    for index, plane in enumerate(series.planes):
        slab = plane.entry if series.images.is_3d else 0
        volumes.setdefault((volume_key(plane.frame), slab), []).append((plane, index))
    for stack in volumes.values():
        stack.sort(key=lambda item: item[0].depth_mm)
    return {_file_name(key, slab, list(volumes)): stack for (key, slab), stack in volumes.items()}


def _file_name(key: VolumeKey, slab: int, others: list[tuple[VolumeKey, int]]) -> str:
    """`image` and the counters that differ within the series."""
    counters = [
        f"_{name}{value:03d}"
        for position, (name, value) in enumerate(zip(_KEY_NAMES, key, strict=True))
        if len({other[position] for other, _ in others}) > 1
    ]
    if len({other for other, _ in others}) < len(others):
        counters.append(f"_slab{slab:03d}")
    return "image" + "".join(counters)


def _step(stack: Stack) -> NDArray[np.float64] | None:
    ordered = [plane for plane, _ in stack]
    return parallel_step(ordered) if len(ordered) > 1 else _thickness_step(ordered[0])


def _thickness_step(plane: Plane) -> NDArray[np.float64]:
    return plane.stack_dir * (plane.thickness_mm or 1.0)


def _save(nibabel: ModuleType, series: PlaneSeries, path: Path, stack: Stack, step: NDArray[np.float64]) -> None:
    volume = np.stack([series.pixels[index] for _, index in stack]).transpose(2, 1, 0)
    affine = volume_affine(stack[0][0], step)
    known = all(plane.frame.geometry_known for plane, _ in stack)
    coordinates = _SCANNER_COORDINATES if known else _UNKNOWN_COORDINATES
    image = nibabel.Nifti1Image(volume, affine)
    image.set_sform(affine, code=coordinates)
    image.set_qform(affine, code=coordinates)
    image.header.set_xyzt_units(xyz="mm")
    image.header["descrip"] = f"knerve {series.images.method}, SNR units, research use only".encode()[:79]
    nibabel.save(image, path)
    keys = method_keys(series.images)
    if keys:
        text = json.dumps(keys, indent=2) + "\n"
        path.with_name(path.name.removesuffix(".nii.gz") + ".json").write_text(text, encoding="utf-8")
