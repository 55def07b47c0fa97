"""Phase-encode counts that transform fast: k-space is padded with lines outside of the acquired ones.

552 = 8 · 3 · 23 lines take twice the time of 576. More lines over the same field of view make finer pixels. The added lines
count as measured and zero: the image holds no frequencies that the scan could not see, and its own are cut out at the end.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from knerve.gpu.fft_lengths import fast_length
from knerve.gpu.fourier import resize_centred, to_image, to_kspace
from knerve.recon.hybrid import HybridScan
from knerve.recon.resampling import resample_linear


def padded_for(method: str, scan: HybridScan) -> HybridScan:
    """The scan on the lines that this method solves for."""
    return scan if method == "zero-filled" else pad_phase_encodes(scan)


def pad_phase_encodes(scan: HybridScan) -> HybridScan:
    """A 2-D scan with `fast_length` lines; other scans as they are."""
    n = scan.kspace.shape[-1]
    length = fast_length(n)
    if scan.is_3d or length == n:
        return scan
    counts = scan.counts.amax(1, keepdim=True).repeat(1, length)  # as reliable as the best of the others
    first = first_acquired(length, length - n)
    counts[:, first : first + n] = scan.counts
    return replace(scan, kspace=resize_centred(scan.kspace, -1, length), counts=counts, added_lines=length - n)


def lines_after_padding(lines: tuple[slice, ...], scan: HybridScan) -> tuple[slice, ...]:
    """Where central lines of the acquired k-space lie in that of a padded scan."""
    first = first_acquired(scan.kspace.shape[-1], scan.added_lines)
    *others, last = lines
    return (*others, slice(last.start + first, last.stop + first))


def first_acquired(length: int, added_lines: int) -> int:
    """Index of the first line of the scan's own among `length` lines."""
    return length // 2 - (length - added_lines) // 2


def own_lines(length: int, added_lines: int) -> slice:
    """The scan's own among `length` lines."""
    first = first_acquired(length, added_lines)
    return slice(first, first + length - added_lines)


def in_scan_units(image: Tensor, added_lines: int) -> Tensor:
    """The image (slice, x, set, y) on the scan's own grid: only its own lines are kept."""
    length = image.shape[-1]
    if added_lines == 0:
        return image
    return to_image(resize_centred(to_kspace(image, (-1,)), -1, length - added_lines), (-1,))


def smooth_on_scan_grid(values: Tensor, added_lines: int) -> Tensor:
    """Smooth real values (slice, x, set, y), such as a noise map, on the scan's own grid."""
    length = values.shape[-1]
    return values if added_lines == 0 else resample_linear(values, -1, 1.0, length - added_lines, 1.0)
