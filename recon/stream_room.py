"""Whether the readouts of a scan fit into memory while they wait for their slices to be complete."""

from __future__ import annotations

import torch

from knerve.gpu.devices import free_memory_bytes
from knerve.recon.stream_errors import NotStreamableError
from knerve.recon.stream_outline import Outline

MEMORY_SHARE = 0.5  # of what is free may go into readouts that wait
BYTES_PER_SAMPLE = 8


def require_memory(outline: Outline) -> None:
    """Refuse a scan that takes too much.

    Raises:
        NotStreamableError: it does.
    """
    n_bytes = BYTES_PER_SAMPLE * outline.n_slices * outline.n_coils * outline.n_lines * outline.n_columns
    available = free_memory_bytes(torch.device("cpu"))
    if n_bytes > MEMORY_SHARE * available:
        raise NotStreamableError(
            f"its readouts take {n_bytes / 1e9:.1f} GB while they wait, and only {available / 1e9:.1f} GB are free"
        )
