"""What each readout of an MRD file is for, decided from its flags and encoding space.

Noise readouts give the noise; calibration lines of a scan whose calibration is separate or external, or of another encoding
space, are calibration; every other calibration line is data like any line. Navigators, phase corrections and the like are
left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.mrd_hdf5 import Heads
from knerve.datasets.mrd_header import Encoding, MrdHeader
from knerve.datasets.placement import Indices, has_flag
from knerve.datasets.wording import counted
from knerve.recon.errors import RawDataError, UnsupportedError

NOISE, CALIBRATION, CALIBRATION_AND_IMAGING = 19, 20, 21
LEFT_OUT = {
    "navigation": (23,),
    "phase correction": (24,),
    "feedback": (26, 28),
    "dummy": (27,),
    "surface-coil correction": (29,),
    "phase stabilisation": (30, 31),
}
COMPRESSED = (53, 54, 55, 56)
NOT_CARTESIAN = {
    "epi": "echo-planar readouts need ghost correction and regridding of their ramps",
    "radial": "radial readouts need gridding",
    "goldenangle": "golden-angle radial readouts need gridding",
    "spiral": "spiral readouts need gridding",
}


@dataclass(frozen=True)
class Roles:
    """What each readout is for, as ascending indices into the file; `notes` tell what was left out."""

    imaging: Indices
    calibration: Indices
    noise: Indices
    encoding: Encoding
    calibration_encoding: Encoding
    notes: tuple[str, ...]


def sort_readouts(heads: Heads, header: MrdHeader) -> Roles:
    """Decide from flags and encoding spaces what each readout is for.

    Raises:
        RawDataError: no imaging readouts, an encoding that the header lacks, or a changing number of channels.
        UnsupportedError: compressed readouts, or a trajectory that is not Cartesian.
    """
    noise = has_flag(heads, NOISE)
    by_kind = {kind: has_flag(heads, *flags) & ~noise for kind, flags in LEFT_OUT.items()}
    kept = ~noise & ~np.logical_or.reduce(list(by_kind.values()))
    left_out = ", ".join(f"{int(found.sum())} {kind}" for kind, found in by_kind.items() if found.any())
    notes = [f"Readouts left out by their flags: {left_out}."] if left_out else []
    if not kept.any():
        raise RawDataError(
            f"None of the {len(heads)} readouts holds image data: {int(noise.sum())} noise{left_out and ', ' + left_out}. "
            "Is this the noise measurement of another scan?"
        )
    _require_known_encodings(heads, kept, header)
    main, other, calibration = _separate_calibration(heads, kept, header)
    encoding, calibration_encoding = header.encodings[main], header.encodings[other]
    elsewhere = kept & (heads["encoding_space_ref"] != main)
    ignored = elsewhere & ~calibration
    if ignored.any():
        others = ", ".join(map(str, np.unique(heads["encoding_space_ref"][ignored])))
        notes.append(
            f"Left out: {counted(int(ignored.sum()), 'readout')} of encoding space {others}, no part of these images."
        )
    imaging = kept & ~elsewhere & ~calibration
    for used in (encoding, calibration_encoding):
        _require_cartesian(used)
    _require_plain_samples(heads, imaging | calibration | noise)
    return Roles(
        imaging=np.flatnonzero(imaging),
        calibration=np.flatnonzero(calibration),
        noise=np.flatnonzero(noise),
        encoding=encoding,
        calibration_encoding=calibration_encoding,
        notes=tuple(notes),
    )


def _separate_calibration(
    heads: Heads, kept: NDArray[np.bool_], header: MrdHeader
) -> tuple[int, int, NDArray[np.bool_]]:
    """The encoding space of the images, that of separate calibration, and which of the `kept` readouts are such calibration.

    Images are what most unflagged readouts encode. Another space is calibration where its readouts say so or its header does.
    """
    space = heads["encoding_space_ref"]
    plain = kept & ~has_flag(heads, CALIBRATION)
    main = int(np.bincount(space[plain if plain.any() else kept]).argmax())
    is_main = space == main
    spaces_apart = [
        i for i, e in enumerate(header.encodings) if e.is_calibration or header.encodings[main].is_calibration
    ]
    calibration = ~is_main & (has_flag(heads, CALIBRATION, CALIBRATION_AND_IMAGING) | np.isin(space, spaces_apart))
    if header.encodings[main].is_calibration and plain.any():
        calibration |= has_flag(heads, CALIBRATION)
    calibration &= kept
    other = int(space[calibration].max()) if calibration.any() else main
    return main, other, calibration & (space == other)


def _require_known_encodings(heads: Heads, kept: NDArray[np.bool_], header: MrdHeader) -> None:
    unknown = np.flatnonzero(kept & (heads["encoding_space_ref"] >= len(header.encodings)))
    if len(unknown):
        raise RawDataError(
            f"Readout {unknown[0]} names encoding space {heads['encoding_space_ref'][unknown[0]]}, but the header has only "
            f"{len(header.encodings)} (counted from 0). Header and readouts do not belong together."
        )


def _require_cartesian(encoding: Encoding) -> None:
    if encoding.trajectory != "cartesian":
        why = NOT_CARTESIAN.get(encoding.trajectory, "nobody knows how to place its readouts")
        raise UnsupportedError(
            f"The trajectory is '{encoding.trajectory}', but knerve reconstructs 'cartesian' scans only: {why}."
        )


def _require_plain_samples(heads: Heads, used: NDArray[np.bool_]) -> None:
    """Refuse compressed samples and a number of channels that is zero or changes."""
    compressed = np.flatnonzero(used & has_flag(heads, *COMPRESSED))
    if len(compressed):
        flag = next(flag for flag in COMPRESSED if has_flag(heads, flag)[compressed[0]])
        raise UnsupportedError(
            f"Readout {compressed[0]} is compressed (flag {flag}); knerve reads files with plain float32 samples. Store the raw "
            "data without compression."
        )
    channels, readouts = heads["active_channels"], np.flatnonzero(used)
    expected = channels[readouts[0]]
    changed = readouts[channels[readouts] != expected]
    if len(changed):
        raise RawDataError(
            f"Readout {changed[0]} has {channels[changed[0]]} channels, those before it have {expected} (noise readouts count "
            "too): one scan needs the same channels throughout. Was the coil selection changed midway?"
        )
    if expected == 0:
        raise RawDataError("The readouts have 0 active channels; at least one receive channel is needed.")
