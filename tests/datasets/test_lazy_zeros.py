"""Zeros that cost nothing until they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from knerve.datasets.lazy_zeros import lazy_zeros

MIB = 1 << 20


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm")
    if not pages.is_file():
        pytest.skip("this system does not say how much memory a process holds")
    return int(pages.read_text().split()[1]) * 4096


def test_they_are_zeros_that_can_be_written() -> None:
    zeros = lazy_zeros((3, 1, 5))
    assert (zeros.shape, zeros.dtype) == ((3, 1, 5), np.complex64)
    assert not zeros.any()
    zeros[1, 0, 2] = 3 - 4j
    assert torch.from_numpy(zeros).abs().sum() == 5
    assert lazy_zeros((0, 4)).shape == (0, 4)


def test_memory_is_taken_only_where_something_is_written() -> None:
    before = _resident_bytes()
    zeros = lazy_zeros((128, 1024, 1024))  # 1 GiB
    zeros[:, ::64, :] = 1  # 16 MiB of it, one line here and there
    assert _resident_bytes() - before < 64 * MIB
    assert zeros[:, 1].sum() == 0


def test_more_than_can_be_addressed_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="GiB"):
        lazy_zeros((1 << 50,))
