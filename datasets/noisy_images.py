"""Images with a map of their noise, as `knerve denoise` takes them: an `images.h5` of knerve, or arrays of NumPy.

Of an `images.h5` the complex images are taken where there are any, else the magnitude. Its noise map is the one that
`knerve recon --maps` wrote. Arrays are (y, x) or (slice, y, x), real or complex; pixels count as 1 mm, their place is unknown.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray
from torch import Tensor

from knerve.datasets.mrd_images import MAP_KEY
from knerve.recon.errors import RawDataError
from knerve.recon.images import ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader

NOISE = "noise"  # key of the map
LINEAR = ("sense", "zero-filled")
MAGNITUDE_NOTE = (
    "the images are real: magnitudes below three times the noise are too bright, and denoising leaves them so. Complex images "
    "(`knerve recon --complex`) have no such floor."
)
SUFFIXES = (".npy", ".h5", ".hdf5")


def read_noisy_images(path: Path, noise_path: Path | None = None) -> ImageSeries:
    """Images with `noise_level`, ready to be denoised.

    Args:
        path: `images.h5` or `.npy`.
        noise_path: `.npy` with the noise standard deviation of each real part: the images' shape, (y, x), or one number.

    Raises:
        RawDataError: a file that cannot be read, no noise map, shapes that do not fit, images whose noise is no longer that
            of the map.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RawDataError(f"{path.name} is neither an images.h5 of knerve nor a .npy array; give one of these.")
    if path.suffix.lower() == ".npy":
        series = _from_array(_array(path), path.name)
        if noise_path is None:
            raise RawDataError(f"{path.name} has no noise map; give one with --noise-map FILE.npy.")
    else:
        series = _from_mrd(path)
    if noise_path is None:
        if series.noise_level is None:
            raise RawDataError(
                f"{path.name} holds no noise map; write it again with `knerve recon --maps`, or give one with "
                "--noise-map FILE.npy."
            )
        return series
    noise = _array(noise_path)
    if np.iscomplexobj(noise):
        raise RawDataError(f"{noise_path.name} is complex; a noise map holds real standard deviations.")
    return _with_noise(series, torch.from_numpy(noise.astype(np.float32)), noise_path.name)


def _with_noise(series: ImageSeries, noise: Tensor, name: str) -> ImageSeries:
    shape = tuple(series.image.shape)
    if tuple(noise.shape) not in ((), shape, shape[1:]):
        raise RawDataError(
            f"{name} has the shape {tuple(noise.shape)}; images of shape {shape} need that, {shape[1:]} or one number."
        )
    return replace(series, noise_level=noise.expand(shape).clone())


def _array(path: Path) -> NDArray[np.generic]:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RawDataError(
            f"{path} is not a readable NumPy array; save one number per pixel with numpy.save."
        ) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fciu":
        raise RawDataError(f"{path.name} does not hold one array of numbers; save it with numpy.save.")
    return values


def _from_array(values: NDArray[np.generic], name: str) -> ImageSeries:
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise RawDataError(f"{name} has the shape {values.shape}; expected (y, x) or (slice, y, x).")
    stack = values if values.ndim == 3 else values[None]
    n, ny, nx = stack.shape
    notes = () if np.iscomplexobj(values) else (MAGNITUDE_NOTE,)
    frames = tuple(Frame(slice=s, position_mm=(0.0, 0.0, float(s))) for s in range(n))
    return _series(stack.astype(np.complex64), frames, (nx, ny), (float(nx), float(ny), 1.0), notes)


def _from_mrd(path: Path) -> ImageSeries:
    try:
        with h5py.File(path, "r") as file:
            groups = file["dataset"]
            images = groups["image_1"] if "image_1" in groups else groups["image_0"]
            pixels, heads = images["data"][()], images["header"][()]
            about = _attributes(images)
            noise = next(
                (each["data"][()] for each in groups.values() if _attributes(each).get(MAP_KEY) == NOISE), None
            )
    except (OSError, KeyError, AttributeError) as error:
        raise RawDataError(f"{path} is not an images.h5 that knerve wrote: {error}.") from error
    method = about.get("ImageProcessingHistory", "")
    if method not in LINEAR:
        raise RawDataError(
            f"{path.name} was reconstructed by {method or 'an unknown method'}, which has taken out noise already: the noise "
            f"map does not fit. Denoise images of --method {' or '.join(LINEAR)}."
        )
    if pixels.dtype.names:
        pixels = pixels["real"] + 1j * pixels["imag"]
    if pixels.shape[1:3] != (1, 1):
        raise RawDataError(f"{path.name} holds volumes of shape {pixels.shape[1:]}; only 2-D slices can be denoised.")
    notes = () if np.iscomplexobj(pixels) else (MAGNITUDE_NOTE,)
    ny, nx = pixels.shape[-2:]
    fov = tuple(float(size) for size in heads[0]["field_of_view"])
    series = _series(
        pixels[:, 0, 0].astype(np.complex64), tuple(map(_frame, heads)), (nx, ny), (fov[0], fov[1], fov[2]), notes
    )
    return series if noise is None else replace(series, noise_level=torch.from_numpy(noise[:, 0, 0].astype(np.float32)))


def _frame(head: np.void) -> Frame:
    def vector(name: str) -> tuple[float, float, float]:
        x, y, z = (float(value) for value in head[name])
        return x, y, z

    return Frame(
        slice=int(head["slice"]),
        contrast=int(head["contrast"]),
        phase=int(head["phase"]),
        repetition=int(head["repetition"]),
        set=int(head["set"]),
        position_mm=vector("position"),
        read_dir=vector("read_dir"),
        phase_dir=vector("phase_dir"),
        slice_dir=vector("slice_dir"),
        table_position_mm=vector("patient_table_position"),
        geometry_known=True,
        acquisition_time_stamp=int(head["acquisition_time_stamp"]),
    )


def _attributes(group: h5py.Group) -> dict[str, str]:
    """Name and last value of each attribute of a group's first image."""
    root: ET.Element = fromstring(group["attributes"].asstr()[0])
    return {
        meta.findtext("name", ""): meta.findall("value")[-1].text or ""
        for meta in root.iter("meta")
        if meta.find("value") is not None
    }


def _series(
    values: NDArray[np.complex64],
    frames: tuple[Frame, ...],
    matrix: tuple[int, int],
    fov_mm: tuple[float, float, float],
    notes: tuple[str, ...],
) -> ImageSeries:
    size = (*matrix, 1)
    return ImageSeries(
        image=torch.from_numpy(values),
        frames=frames,
        grid=Grid(size, fov_mm, size, fov_mm),
        header=ScanHeader(),
        method="denoise",
        noise=NoiseReport("noise map", 0, (), 0.0),
        acceleration=1.0,
        notes=notes,
    )
