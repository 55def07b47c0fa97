"""The messages of MRD (ISMRMRD) streams, version 1, as plain values.

Sizes stand in the arrays; `wire.encode` writes them into the heads, so that the two cannot contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from ismrmrd.hdf5 import acquisition_header_dtype, image_header_dtype, waveform_header_dtype
from numpy.typing import NDArray

READOUT_HEAD: np.dtype[Any] = acquisition_header_dtype
IMAGE_HEAD: np.dtype[Any] = image_header_dtype
WAVEFORM_HEAD: np.dtype[Any] = waveform_header_dtype
PIXEL_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<u2"),
    2: np.dtype("<i2"),
    3: np.dtype("<u4"),
    4: np.dtype("<i4"),
    5: np.dtype("<f4"),
    6: np.dtype("<f8"),
    7: np.dtype("<c8"),
    8: np.dtype("<c16"),
}
PIXEL_TYPE_NUMBERS = {pixel_type: number for number, pixel_type in PIXEL_TYPES.items()}


class MessageId(IntEnum):
    """The number that begins a message."""

    CONFIG_FILE = 1
    CONFIG_TEXT = 2
    HEADER = 3
    CLOSE = 4
    TEXT = 5
    QUERY = 6
    RESPONSE = 7
    ACQUISITION = 1008
    DICOM_WITHNAME = 1018
    DEPENDENCY_QUERY = 1019
    IMAGE = 1022
    WAVEFORM = 1026
    NDARRAY = 1030


@dataclass(frozen=True)
class ConfigFile:
    """The name of what is to be done with the data."""

    name: str


@dataclass(frozen=True)
class ConfigText:
    """What is to be done with the data: XML, JSON or free text."""

    text: str


@dataclass(frozen=True)
class Header:
    """The MRD header, XML as it came, up to its first NUL."""

    xml: bytes


@dataclass(frozen=True)
class Close:
    """The last word of either side."""


@dataclass(frozen=True)
class Text:
    """Words for a person, or settings as JSON right behind the header."""

    text: str


@dataclass(frozen=True)
class Query:
    """A question of Gadgetron's client."""

    correlation_id: int
    question: str


@dataclass(frozen=True)
class Response:
    """The answer to the question of the same correlation id."""

    correlation_id: int
    answer: str


@dataclass(frozen=True, eq=False)
class Acquisition:
    """A readout: head of dtype `READOUT_HEAD`, trajectory (sample, dimension) float32, samples (coil, sample) complex64."""

    head: np.void
    trajectory: NDArray[np.float32]
    samples: NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class Image:
    """An image: head of dtype `IMAGE_HEAD`, attributes as `<ismrmrdMeta>` XML or empty, pixels (channel, z, y, x)."""

    head: np.void
    attributes: str
    pixels: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Waveform:
    """A physiological signal: head of dtype `WAVEFORM_HEAD`, values (channel, sample) uint32."""

    head: np.void
    values: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class NdArray:
    """An array of one of the pixel types."""

    values: NDArray[Any]


@dataclass(frozen=True)
class DicomFile:
    """A DICOM file with its name and attributes (Gadgetron)."""

    content: bytes
    name: str
    attributes: str


@dataclass(frozen=True)
class DependencyQuery:
    """Which earlier measurements a server holds, as `<ismrmrdMeta>` XML (Gadgetron)."""

    attributes: str


Message = (
    ConfigFile
    | ConfigText
    | Header
    | Close
    | Text
    | Query
    | Response
    | Acquisition
    | Image
    | Waveform
    | NdArray
    | DicomFile
    | DependencyQuery
)
