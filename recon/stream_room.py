"""Whether the readouts of a scan fit into memory while they wait for their slices to be complete."""

from __future__ import annotations

import torch

from knerve.gpu.devices import free_memory_bytes
from knerve.recon.stream_errors import NotStreamableError
from knerve.recon.stream_outline import Outline

MEMORY_SHARE = 0.5  # of what is free may go into readouts that wait
GPU_SHARE = 0.125  # of the free memory of a GPU, for readouts that are sent there before their slice is complete
BYTES_PER_SAMPLE = 8


def require_memory(outline: Outline) -> None:
    """Refuse a scan that takes too much.

    Raises:
        NotStreamableError: it does.
    """
    n_bytes = _bytes(outline)
    available = free_memory_bytes(torch.device("cpu"))
    if n_bytes > MEMORY_SHARE * available:
        raise NotStreamableError(
            f"its readouts take {n_bytes / 1e9:.1f} GB while they wait, and only {available / 1e9:.1f} GB are free"
        )


def can_be_sent_early(outline: Outline, device: torch.device) -> bool:
    """Whether readouts are to go to this device while their slice is incomplete: to a GPU that has room for every line."""
    return device.type == "cuda" and _bytes(outline) <= GPU_SHARE * free_memory_bytes(device)


def _bytes(outline: Outline) -> int:
    """Of every line of a scan."""
    return BYTES_PER_SAMPLE * outline.n_slices * outline.n_coils * outline.n_lines * outline.n_columns
