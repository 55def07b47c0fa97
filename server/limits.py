"""How large a message may be: headers on the wire can ask for 51 GB of samples, or for 2^64 bytes of text."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Largest messages that are taken; a larger one ends the session before memory is taken for it.

    Attributes:
        text_bytes: of a config, a text, a query or an answer.
        header_bytes: of the XML header, which takes a hundred times its size while it is read.
        channels: of a readout.
        trajectory_dimensions: of a readout.
        readout_bytes: trajectory and samples of a readout, uncompressed.
        waveform_bytes: samples of a waveform.
        image_bytes: pixels of an image, values of an array, content of a DICOM file.
        array_dimensions: of an array.
    """

    text_bytes: int = MIB
    header_bytes: int = 4 * MIB
    channels: int = 1024
    trajectory_dimensions: int = 4
    readout_bytes: int = 64 * MIB
    waveform_bytes: int = 16 * MIB
    image_bytes: int = 256 * MIB
    array_dimensions: int = 16
