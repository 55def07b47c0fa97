"""What onlookers are told of a scan before its first image: nothing in it names a patient."""

from __future__ import annotations

import math
from dataclasses import dataclass

from knerve.datasets.mrd_header import MrdHeader

LONGEST_NAME = 64


@dataclass(frozen=True)
class Outline:
    """A header, as far as onlookers need it.

    Attributes:
        protocol: its name, cut where it is no name any more.
        n_slices: announced; 0 where the header does not say.
        expected_s: about how long the scan takes; None where the header does not say enough.
        frame_of_reference: scans in which it is the same, and not empty, share their coordinates.
    """

    protocol: str = "scan"
    n_slices: int = 0
    expected_s: float | None = None
    frame_of_reference: str = ""

    @classmethod
    def of(cls, header: MrdHeader) -> Outline:
        """The outline of a scan."""
        about, encoding = header.scan_header, header.encodings[0]
        protocol = about.protocol_name or about.series_description or cls.protocol
        n_slices = encoding.announced.get("slice", 0)
        return cls(protocol[:LONGEST_NAME], n_slices, expected_s(header), about.frame_of_reference_uid)


def expected_s(header: MrdHeader) -> float | None:
    """Duration of an echo-train scan whose slices are all excited once in a repetition time.

        T = TR ⌈n_lines / (R · ETL)⌉

    None where TR or the echo train length is unknown.
    """
    encoding, tr_ms = header.encodings[0], header.scan_header.tr_ms
    if not tr_ms or not encoding.echo_train_length:
        return None
    n_lines = encoding.grid.encoded_matrix[1] / max(1.0, encoding.acceleration[0])
    return tr_ms[0] / 1000 * math.ceil(n_lines / encoding.echo_train_length)
