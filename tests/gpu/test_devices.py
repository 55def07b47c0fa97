"""The choice of device."""

import pytest
import torch

from knerve.gpu.devices import ASSUMED_FREE_BYTES, choose_device, cpu_threads, free_memory_bytes


def test_cpu_is_always_there():
    assert choose_device("cpu") == torch.device("cpu")
    assert free_memory_bytes(torch.device("cpu")) > 1 << 20


def test_memory_that_files_can_give_back_is_free(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24683520 kB\nMemFree:          812345 kB\nMemAvailable:   16777216 kB\n")
    monkeypatch.setattr("knerve.gpu.devices.MEMINFO", meminfo)
    assert free_memory_bytes(torch.device("cpu")) == 16 << 30
    meminfo.unlink()
    assert free_memory_bytes(torch.device("cpu")) == ASSUMED_FREE_BYTES


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_asking_for_a_missing_gpu_says_what_to_do():
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match='torch finds no CUDA GPU here; use "cpu" or "auto"'):
        choose_device("cuda")


def test_unknown_device_is_refused():
    with pytest.raises(ValueError, match='device is "tpu"; choose "auto", "cpu" or "cuda"'):
        choose_device("tpu")


def test_thread_count_is_put_back():
    before = torch.get_num_threads()
    with cpu_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
