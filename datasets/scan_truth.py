"""What a simulated scan was made from, kept in a file beside the raw data: `<stem>-truth.h5`.

    image/raw      (slice, y, x)   noise-free, fully sampled, root sum of squares of the channels, in raw units
    image/snr      (slice, y, x)   the same of whitened channels, in units of the noise of a fully sampled image's real part
    labels         (slice, y, x)   0 air, i + 1 the tissue i of the attribute `tissues` with the largest share
    structures     (slice, y, x)   index into the attribute `names`, in the middle of the slice; where the object names its parts
    nerves/<name>/mask             (slice, y, x) the nerve's share of each pixel of the slice
    nerves/<name>/course_mm        (point, 3) in patient coordinates (LPS)
    slices/centre_mm, read, phase, normal    (slice, 3)

Images lie on the grid of the reconstruction. Echoes, slice profile, displacement of fat and fields are in them as in the scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knerve.datasets.anatomy_extras import HasNerves, HasStructures
from knerve.datasets.anatomy_truth import MASK_STEPS, AnatomyTruth, Labels
from knerve.datasets.scan_plane import Anatomy, ScanPlane
from knerve.datasets.slice_stack import ScanGrid
from knerve.datasets.spin_groups import SpinGroup
from knerve.datasets.tissue_images import TissueImages
from knerve.recon.errors import OutputError

Real = NDArray[np.float64]

MOSTLY_AIR = 0.5  # of a pixel


@dataclass(frozen=True)
class SliceTruth:
    """The truth of one slice, all (y, x).

    Attributes:
        raw: image in raw units.
        snr: image in SNR units.
        labels: of tissues.
        anatomy: parts and nerves.
    """

    raw: Tensor
    snr: Tensor
    labels: Labels
    anatomy: AnatomyTruth


def truth_path(raw: Path) -> Path:
    """Where the truth of a raw file lies."""
    return raw.with_name(f"{raw.stem}-truth.h5")


def combined_images(coil_images: Tensor, mixing: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Root sum of squares (y, x) of images (coil, y, x) as they are, and whitened in units of the noise."""
    whitened = torch.linalg.solve(mixing, coil_images.flatten(1)).reshape(coil_images.shape)
    return _root_sum_of_squares(coil_images), _root_sum_of_squares(whitened) / level


def tissue_labels(images: TissueImages, groups: Sequence[SpinGroup], grid: ScanGrid) -> Labels:
    """(y, x) 1 + index of the tissue with the largest share of each pixel, 0 where most of it is air."""
    shares = torch.zeros(groups[-1].index + 1, *images.share.shape[1:])
    for i, share in zip(images.groups, images.share, strict=True):
        shares[groups[i].index] = torch.maximum(shares[groups[i].index], share)
    x_mm, y_mm = grid.image_axes_mm
    columns, inside_x = _nearest(images.x_mm, x_mm)
    rows, inside_y = _nearest(images.y_mm, y_mm)
    shares = shares[:, rows][:, :, columns]
    labels = (shares.argmax(dim=0) + 1) * (shares.sum(dim=0) > MOSTLY_AIR)
    return np.asarray(labels.numpy() * (inside_y[:, None] & inside_x), dtype=np.uint8)


class TruthFile:
    """An open truth file whose slices are filled in."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file

    def write(self, number: int, truth: SliceTruth) -> None:
        """Put the truth of one slice at its place."""
        self._file["image/raw"][number] = truth.raw.numpy()
        self._file["image/snr"][number] = truth.snr.numpy()
        self._file["labels"][number] = truth.labels
        if truth.anatomy.structures is not None:
            self._file["structures"][number] = truth.anatomy.structures
        for name, mask in truth.anatomy.masks.items():
            self._file[f"nerves/{name}/mask"][number] = mask


@contextmanager
def truth_file(
    path: Path, anatomy: Anatomy, planes: Sequence[ScanPlane], grid: ScanGrid, attributes: Mapping[str, str | float]
) -> Iterator[TruthFile]:
    """Open the truth file of a scan; it gets its name when all is written.

    Raises:
        OutputError: it cannot be written.
    """
    shape = (len(planes), grid.n_phase, grid.n_read)
    aside = path.with_name(f".{path.name}.part")
    try:
        with h5py.File(aside, "w") as file:
            for name, kind in (("image/raw", "f4"), ("image/snr", "f4"), ("labels", "u1")):
                _slices(file, name, shape, kind)
            file["labels"].attrs["tissues"] = list(anatomy.tissues)
            if isinstance(anatomy, HasStructures):
                _slices(file, "structures", shape, "u2").attrs["names"] = list(anatomy.structures)
            for nerve in anatomy.nerves if isinstance(anatomy, HasNerves) else ():
                _slices(file, f"nerves/{nerve.name}/mask", shape, "u1").attrs["steps"] = MASK_STEPS
                file[f"nerves/{nerve.name}/course_mm"] = nerve.points_mm
                file[f"nerves/{nerve.name}"].attrs["diameter_mm"] = nerve.diameter_mm
            for name in ("centre_mm", "read", "phase", "normal"):
                file[f"slices/{name}"] = np.array([getattr(plane, name) for plane in planes])
            file.attrs.update(attributes)
            yield TruthFile(file)
        aside.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} could not be written ({error}). Check that the folder exists, is writable and has room."
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _slices(file: h5py.File, name: str, shape: tuple[int, int, int], kind: str) -> h5py.Dataset:
    return file.create_dataset(name, shape, kind, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1)


def _nearest(places_mm: Real, wanted_mm: Real) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Index of the place nearest to each wanted one, and whether it is covered at all."""
    step = places_mm[1] - places_mm[0]
    index = np.round((wanted_mm - places_mm[0]) / step).astype(np.int64)
    return np.clip(index, 0, len(places_mm) - 1), (index >= 0) & (index < len(places_mm))


def _root_sum_of_squares(images: Tensor) -> Tensor:
    return images.abs().square().sum(0).sqrt()
