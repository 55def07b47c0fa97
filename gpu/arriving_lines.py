"""Lines of one slice that go to a GPU while others are still measured: at its last readout only the last block is left to send.

A block is gathered in one of two pinned memories of the host while the other is on its way. On a CPU the same steps copy from
memory to memory, so that they can be tested there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

N_STAGES = 2
LINES_IN_BLOCK = 16


class ArrivingLines:
    """Lines (coil, x) of one slice on their way to a device. `add` is for one thread, `kspace` for any, after the last line."""

    def __init__(self, n_coils: int, n_columns: int, device: torch.device) -> None:
        """Make ready for lines `(n_coils, n_columns)`."""
        on_gpu = device.type == "cuda"
        self._device = device
        shape = (LINES_IN_BLOCK, n_coils, n_columns)
        self._stages = [torch.empty(shape, dtype=torch.complex64, pin_memory=on_gpu) for _ in range(N_STAGES)]
        self._stream = torch.cuda.Stream(device) if on_gpu else None
        self._gone: list[torch.cuda.Event | None] = [None] * N_STAGES
        self._blocks: list[Tensor] = []
        self._lines: list[int] = []

    def add(self, line: int, columns: Tensor) -> None:
        """Take line number `line`, complex64 (coil, x)."""
        place = len(self._lines) % LINES_IN_BLOCK
        if place == 0:
            self._wait_for_stage()
        self._stage[place].copy_(columns)
        self._lines.append(line)
        if place == LINES_IN_BLOCK - 1:
            self._send(LINES_IN_BLOCK)

    def kspace(self, n_lines: int) -> Tensor:
        """All lines at their places among `n_lines`, zero elsewhere: (1, x, coil, line) on the device."""
        rest = len(self._lines) - LINES_IN_BLOCK * len(self._blocks)
        if rest > 0:
            self._send(rest)
        if self._stream is not None:
            self._stream.synchronize()
        n_coils, n_columns = self._stages[0].shape[1:]
        whole = torch.zeros(1, n_columns, n_coils, n_lines, dtype=torch.complex64, device=self._device)
        if self._blocks:
            whole[0, :, :, torch.tensor(self._lines, device=self._device)] = torch.cat(self._blocks).permute(2, 1, 0)
        if self._stream is not None:
            for block in self._blocks:  # made on another stream than they are read on
                block.record_stream(torch.cuda.current_stream(self._device))
        return whole

    @property
    def _which(self) -> int:
        return len(self._blocks) % N_STAGES

    @property
    def _stage(self) -> Tensor:
        return self._stages[self._which]

    def _wait_for_stage(self) -> None:
        """Until what was gathered in this memory before has left it."""
        gone = self._gone[self._which]
        if gone is not None:
            gone.synchronize()

    def _send(self, n: int) -> None:
        """Send the first n lines of the memory that is being filled."""
        which = self._which  # of the memory, before there is one block more
        here: AbstractContextManager[object] = (
            nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
        )
        with here:
            self._blocks.append(self._stages[which][:n].to(self._device, non_blocking=True, copy=True))
            if self._stream is not None:
                gone = torch.cuda.Event()
                gone.record(self._stream)
                self._gone[which] = gone
