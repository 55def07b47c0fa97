"""Copies between host and GPU through pinned memory, which the GPU reads and writes by itself at the full rate of the bus."""

from __future__ import annotations

import torch
from torch import Tensor

N_STAGES = 2  # pinned blocks: one is filled while the other is sent


def lines_to_device(kspace: Tensor, sampled: Tensor, device: torch.device) -> Tensor:
    """k-space on a device, zero where nothing was sampled; only sampled lines are read and sent.

    Slice by slice lines are gathered into pinned memory while those of the slice before are on their way.

    Args:
        kspace: (slice, coil, line, kx) on the host.
        sampled: (slice, line) bool on the host.
        device: a GPU; on a CPU nothing is copied.
    """
    if device.type != "cuda":
        return kspace
    lines = [torch.nonzero(mask)[:, 0] for mask in sampled]
    n_lines = [len(some) for some in lines]
    places = torch.cat(lines).to(device).split(n_lines)  # all at once: a small copy waits for those before it
    target = torch.zeros(kspace.shape, dtype=kspace.dtype, device=device)
    arrivals = torch.cuda.Stream(device)
    arrivals.wait_stream(torch.cuda.current_stream(device))
    stages = [_Stage(kspace, max(n_lines, default=0)) for _ in range(N_STAGES)]
    for s, block in enumerate(kspace):
        if n_lines[s] > 0:
            stages[s % N_STAGES].send(block, lines[s], places[s], target[s], arrivals)
    torch.cuda.current_stream(device).wait_stream(arrivals)
    target.record_stream(arrivals)
    return target


def to_host(values: Tensor) -> Tensor:
    """A tensor on the CPU, through pinned memory if it comes from a GPU."""
    if not values.is_cuda:
        return values
    there = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    there.copy_(values, non_blocking=True)
    torch.cuda.current_stream(values.device).synchronize()
    return there


class _Stage:
    """One pinned block of the host."""

    def __init__(self, kspace: Tensor, most_lines: int) -> None:
        n_coils, n_kx = kspace.shape[1], kspace.shape[3]
        self._memory = torch.empty(n_coils * most_lines * n_kx, dtype=kspace.dtype, pin_memory=True)
        self._sent = torch.cuda.Event()

    def send(self, block: Tensor, lines: Tensor, places: Tensor, target: Tensor, stream: torch.cuda.Stream) -> None:
        """Send lines of `block (coil, line, kx)` to their places in `target`, when what was sent before has gone."""
        self._sent.synchronize()
        n_coils, _, n_kx = block.shape
        gathered = self._memory[: n_coils * len(lines) * n_kx].view(n_coils, len(lines), n_kx)
        torch.index_select(block, 1, lines, out=gathered)
        with torch.cuda.stream(stream):
            target.index_copy_(1, places, gathered.to(target.device, non_blocking=True))
            self._sent.record(stream)
