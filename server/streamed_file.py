"""A raw file taken readout by readout, as a scanner would have sent it: the fast path without a server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from knerve.datasets.mrd_hdf5 import open_group
from knerve.recon.images import ImageSeries
from knerve.recon.settings import Settings
from knerve.recon.streaming import FinishedSlice
from knerve.server.replay import readouts_of
from knerve.server.stream_scan import ArrivingScan


def reconstruct_streamed(
    raw: Path, settings: Settings, group: str | None = None, on_slices_done: Callable[[int, int], None] | None = None
) -> ImageSeries:
    """Reconstruct an ISMRMRD file by the steps of the fast path; the images are those of `reconstruct`.

    Args:
        raw: the file.
        settings: every choice.
        group: HDF5 group of the raw data.
        on_slices_done: called with (done, total) after each slice.

    Raises:
        NotStreamableError: the scan must be there as a whole.
        KnerveError: the file cannot be read.
    """
    with open_group(raw, group) as opened:
        name, xml = opened.name, opened.header_xml
    finished: list[FinishedSlice] = []

    def deliver(one: FinishedSlice) -> None:
        finished.append(one)
        if on_slices_done is not None:
            on_slices_done(len(finished), scan.n_announced)

    scan = ArrivingScan(xml.encode() if isinstance(xml, str) else xml, settings, deliver)
    with closing(scan):
        for readout in readouts_of(raw, name):
            scan.take(readout)
            if scan.has_failed():
                break
        scan.end()
        return scan.series([scan.with_noise(one) for one in sorted(finished, key=lambda one: one.entry)])
