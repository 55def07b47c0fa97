"""The heads of readouts without their samples, from the bytes of the file.

h5py fetches every sample of a record even when it is asked for the head alone. But a chunk that is not compressed holds its
records as they are: the head, and a pointer to the samples, which lie elsewhere.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


def stored_member(data: h5py.Dataset, name: str) -> NDArray[Any] | None:
    """One fixed-size member of every record of a list, (record,); None where the chunks do not hold it plainly."""
    chunks, members = data.chunks, data.dtype.fields or {}
    if chunks is None or data.ndim != 1 or members[name][0].hasobject:
        return None
    n_records, n_chunks = len(data), data.id.get_num_chunks()
    if n_chunks * chunks[0] < n_records or data.id.get_create_plist().get_nfilters() > 0:
        return None  # chunks were never written, or are compressed
    if data.id.get_chunk_info(0).size != chunks[0] * data.dtype.itemsize:
        return None
    member, offset = members[name][:2]
    record = np.dtype(
        {"names": [name], "formats": [member], "offsets": [offset], "itemsize": data.dtype.itemsize},
    )
    read_chunk = data.id.read_direct_chunk
    parts = [np.frombuffer(read_chunk((first,))[1], record)[name] for first in range(0, n_records, chunks[0])]
    return np.concatenate(parts)[:n_records]
