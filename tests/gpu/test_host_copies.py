"""Copies between host and GPU."""

import pytest
import torch

from knerve.gpu.host_copies import lines_to_device, to_host


def test_on_a_cpu_nothing_is_copied():
    kspace = torch.randn(2, 3, 4, 5, dtype=torch.complex64)
    assert lines_to_device(kspace, torch.ones(2, 4, dtype=torch.bool), torch.device("cpu")) is kspace
    assert to_host(kspace) is kspace


@pytest.mark.gpu
def test_sampled_lines_arrive_and_come_back():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    kspace = torch.randn(7, 3, 40, 50, dtype=torch.complex64)
    sampled = torch.rand(7, 40) < 0.4
    sampled[2] = False
    there = lines_to_device(kspace, sampled, torch.device("cuda"))
    assert torch.equal(to_host(there), kspace * sampled[:, None, :, None])
