"""Work on a GPU that is recorded once and then replayed without the host: CUDA graphs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

import torch

_recording = threading.Lock()  # its beginning waits for the whole GPU, which breaks what another thread records


class Replayed:
    """The same work each time: it reads and writes fixed tensors only, and neither waits for the GPU nor depends on values on it.

    The first calls run it as it is: kernels are compiled and libraries make their plans. Then it is recorded, and
    from then on replayed. On a CPU it just runs.

    Attributes:
        records: False lets all work run as it is, to find out what a graph changes.
    """

    records: ClassVar[bool] = True

    def __init__(self, device: torch.device, n_first_calls: int = 1) -> None:
        """Nothing is recorded yet.

        Args:
            device: of the tensors.
            n_first_calls: before it is worth recording.
        """
        self._is_cuda, self._n_left = device.type == "cuda", n_first_calls
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, work: Callable[[], None]) -> None:
        """Do the work once; on a GPU it may still be under way when this returns.

        The work is not kept: it holds the tensors, and who holds this would be held by it.
        """
        if self._n_left > 0 or not (self._is_cuda and self.records):
            work()
            self._n_left -= 1
            return
        if self._graph is None:
            graph = torch.cuda.CUDAGraph()
            with _recording, torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may go on
                work()
            self._graph = graph
        self._graph.replay()
