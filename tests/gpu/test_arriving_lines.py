"""Lines that go to a GPU while they arrive; on a CPU the same steps without pinned memory."""

import pytest
import torch

from knerve.gpu.arriving_lines import LINES_IN_BLOCK, ArrivingLines

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n", [0, 1, LINES_IN_BLOCK, LINES_IN_BLOCK + 1, 5 * LINES_IN_BLOCK - 1])
def test_lines_come_to_their_places_in_any_order(device, n):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    random = torch.Generator().manual_seed(n)
    lines = torch.randperm(100, generator=random)[:n]
    columns = torch.randn(n, 3, 7, generator=random, dtype=torch.complex64)
    arriving = ArrivingLines(3, 7, torch.device(device))
    sent = columns.clone()
    for line, one in zip(lines.tolist(), sent, strict=True):
        arriving.add(line, one)
        one.zero_()  # the caller's memory is its own again
    expected = torch.zeros(1, 7, 3, 100, dtype=torch.complex64)
    expected[0, :, :, lines] = columns.permute(2, 1, 0)
    assert torch.equal(arriving.kspace(100).cpu(), expected)
