"""The rows of an image that hold the object: the others are known to be empty and need not be solved.

With phase oversampling half of the field of view is air. The lines stay as they are: a transform that knows these rows to be
zero takes a little less time, but wavelets, sensitivities and memory need only the rows of the object.

The wavelets' grid begins at the first of them and is periodic in their number: both decide the image, by a tenth of the noise.
So each slice has rows of its own, wherever it is solved; slices with equally many of them can be solved at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding

WORTH = 0.95  # of the rows; with more of them in use nothing is cut
MULTIPLE = 32  # of rows, that wavelets divide: rows they would pad with zeros can as well be the image's own


def object_rows(encoding: CartesianEncoding) -> list[slice]:
    """Of each slice, from the first to the last row in which a coil sees anything; all where that is most of them."""
    seen = (encoding.maps != 0).flatten(1, -2).any(1).cpu()  # of all slices: a GPU is asked once
    return [_rows_around(torch.nonzero(each)[:, 0].tolist(), seen.shape[1]) for each in seen]


def of_equal_height(rows: Sequence[slice]) -> list[list[int]]:
    """Slices with equally many rows, group by group."""
    groups: dict[int, list[int]] = {}
    for s, own in enumerate(rows):
        groups.setdefault(own.stop - own.start, []).append(s)
    return list(groups.values())


def on_rows(encoding: CartesianEncoding, rows: Sequence[slice], some: Sequence[int]) -> CartesianEncoding:
    """The encoding of images of some slices that have only their own rows, equally many in each.

    Where these begin differently the images are those of objects moved to the first row: Aᴴ A, a circular convolution, does not
    know where they lie; A and Aᴴ do.
    """
    starts = {rows[s].start for s in some}
    first_row = encoding.first_row + starts.pop() if len(starts) == 1 else 0
    maps, counts = cut(encoding.maps, rows, some), encoding.counts[list(some)]
    return replace(encoding, maps=maps, counts=counts, first_row=first_row)


def cut(values: Tensor, rows: Sequence[slice], some: Sequence[int]) -> Tensor:
    """Some slices of values (slice, ..., y), each on its own rows, equally many."""
    if all(own == rows[0] for own in rows):
        return values[..., rows[0]]
    return torch.cat([values[s : s + 1, ..., rows[s]] for s in some])


def put_back(target: Tensor, values: Tensor, rows: Sequence[slice], some: Sequence[int]) -> None:
    """Fill those rows of some slices of a target (slice, ..., y): the reverse of `cut`."""
    for s, own in zip(some, values, strict=True):
        target[s, ..., rows[s]] = own


def _rows_around(seen: Sequence[int], n: int) -> slice:
    """Rows, a multiple of `MULTIPLE`, around those that are seen, among n."""
    if not seen:
        return slice(0, n)
    first, n_seen = seen[0], seen[-1] + 1 - seen[0]
    n_rows = -(-n_seen // MULTIPLE) * MULTIPLE
    if n_rows > WORTH * n:
        return slice(0, n)
    start = min(max(0, first - (n_rows - n_seen) // 2), n - n_rows)
    return slice(start, start + n_rows)
