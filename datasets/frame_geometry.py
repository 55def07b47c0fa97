"""The images that readouts belong to, and where in the patient they lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.mrd_hdf5 import Heads
from knerve.datasets.mrd_header import IMAGE_COUNTERS, Encoding
from knerve.datasets.placement import find_frames
from knerve.datasets.wording import counted
from knerve.recon.scan import Frame, Vector

SKEW_TOLERANCE = 1e-3  # cosine of the angle between directions that should be orthogonal


def make_frames(heads: Heads, encoding: Encoding) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """One frame for each image, in the order of `find_frames`, with the geometry of its first readout, and notes."""
    found, first, _ = find_frames(heads)
    notes: list[str] = []
    frames = tuple(_frame(heads[i], notes) for i in first)
    n_unknown = sum(not frame.geometry_known for frame in frames)
    if n_unknown:
        notes.append(
            f"No read and phase directions in {n_unknown} of {counted(len(frames), 'image')}: orientation unknown."
        )
    n_values = {name: len(np.unique(found[:, i])) for i, name in enumerate(IMAGE_COUNTERS)}
    n_product = int(np.prod(list(n_values.values())))
    if n_product > len(frames):
        product = " x ".join(counted(n, name) for name, n in n_values.items() if n > 1)
        notes.append(f"No readouts for {n_product - len(frames)} of {n_product} images ({product}): left out.")
    for name, n in n_values.items():
        if n < encoding.announced.get(name, 0):
            notes.append(f"The header announces {counted(encoding.announced[name], name)}, the data hold {n}.")
    return frames, tuple(dict.fromkeys(notes))


def _frame(head: np.void, notes: list[str]) -> Frame:
    """The frame that a readout with this head belongs to."""
    frame = Frame(
        slice=int(head["slice"]),
        contrast=int(head["contrast"]),
        phase=int(head["phase"]),
        repetition=int(head["repetition"]),
        set=int(head["set"]),
        position_mm=_vector(head["position"]),
        table_position_mm=_vector(head["patient_table_position"]),
        acquisition_time_stamp=int(head["acquisition_time_stamp"]),
    )
    directions = _orthonormal(head["read_dir"], head["phase_dir"], head["slice_dir"], notes)
    if directions is None or not np.isfinite(head["position"]).all():
        return frame
    read_dir, phase_dir, slice_dir = directions
    return replace(frame, read_dir=read_dir, phase_dir=phase_dir, slice_dir=slice_dir, geometry_known=True)


def _orthonormal(
    read: NDArray[np.float64], phase: NDArray[np.float64], normal: NDArray[np.float64], notes: list[str]
) -> tuple[Vector, Vector, Vector] | None:
    """Unit directions at right angles, keeping the read direction and the side of the normal; None where they say nothing."""
    lengths = np.array([np.linalg.norm(read), np.linalg.norm(phase)])
    if not (np.isfinite(lengths).all() and lengths.all()):
        return None
    read, phase = read / lengths[0], phase / lengths[1]
    skew = float(read @ phase)
    phase = phase - skew * read
    if np.linalg.norm(phase) < SKEW_TOLERANCE:
        return None
    phase /= np.linalg.norm(phase)
    cross = np.cross(read, phase)
    side = float(normal @ cross)
    length = float(np.linalg.norm(normal))
    if (length > 0 and abs(side) < (1 - SKEW_TOLERANCE) * length) or abs(skew) > SKEW_TOLERANCE:
        notes.append(
            "Read, phase and slice directions are not at right angles; they were made so, keeping the read direction."
        )
    return _vector(read), _vector(phase), _vector(-cross if side < 0 else cross)


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) if np.isfinite(value) else 0.0 for value in values)
    return x, y, z
