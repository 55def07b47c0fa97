"""The rows of an image that hold the object: the others are known to be empty and need not be solved.

With phase oversampling half of the field of view is air. The lines stay as they are: a transform that knows these rows to be
zero takes a little less time, but wavelets, sensitivities and memory need only the rows of the object.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from knerve.recon.encoding import CartesianEncoding

WORTH = 0.95  # of the rows; with more of them in use nothing is cut
MULTIPLE = 32  # of rows, that wavelets divide: rows they would pad with zeros can as well be the image's own


def object_rows(encoding: CartesianEncoding) -> slice:
    """From the first to the last row in which a coil sees anything, in any slice; all where that is most of them."""
    n = encoding.maps.shape[-1]
    seen = torch.nonzero((encoding.maps != 0).flatten(0, -2).any(0))[:, 0]
    if len(seen) == 0:
        return slice(0, n)
    first, last = int(seen[0]), int(seen[-1])
    n_rows = -(-(last + 1 - first) // MULTIPLE) * MULTIPLE
    if n_rows > WORTH * n:
        return slice(0, n)
    start = min(max(0, first - (n_rows - (last + 1 - first)) // 2), n - n_rows)
    return slice(start, start + n_rows)


def on_rows(encoding: CartesianEncoding, rows: slice) -> CartesianEncoding:
    """The same encoding of images that have only these rows."""
    return replace(encoding, maps=encoding.maps[..., rows], first_row=encoding.first_row + rows.start)


def with_all_rows(image: Tensor, rows: slice, n: int) -> Tensor:
    """An image of these rows among n: the others are zero."""
    return pad(image, (rows.start, n - rows.stop))
