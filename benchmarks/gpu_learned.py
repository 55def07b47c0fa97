"""The network by itself: float32 against half precision, what that changes in noise standard deviations, and time."""

from __future__ import annotations

from functools import partial

import torch
from gpu_ceilings import Ceilings, median_seconds
from gpu_report import Report
from torch import nn

from knerve.gpu.cuda_network import FIRST_CALLS, HalfPrecisionNetwork
from knerve.recon.learned.weights import packaged_model

LARGEST_ERROR = 1e-2  # root mean square, noise standard deviations
SIGNAL = 40.0  # noise standard deviations, of the brightest input


def check_network(report: Report, ceilings: Ceilings, device: torch.device) -> None:
    """Errors of bfloat16 and float16 on random images as bright as real ones, and times; the packaged weights."""
    model = packaged_model()
    if model is None:
        report.skipped["network"] = "this installation comes without weights"
        return
    network = model.networks[0].to(device)
    sides = (96, 80) if device.type == "cpu" else (552, 500)
    generator = torch.Generator(device=device).manual_seed(0)
    channels = torch.randn(1, model.architecture.n_inputs, *sides, device=device, generator=generator)
    channels[:, :2] *= SIGNAL / 5
    channels *= model.gains[0].to(device)[:, None, None]
    macs = multiplications(network, channels)
    report.found("multiplications of the network", macs / 1e9, "10^9")
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected = network(channels)
        report.measured("network, float32", median_seconds(partial(network, channels), device))
    for number in (torch.bfloat16, torch.float16):
        half = HalfPrecisionNetwork(network, number)
        for _ in range(FIRST_CALLS + 1):
            output = half(channels)
        error = float((output - expected).square().mean().sqrt())
        limit = LARGEST_ERROR if number == torch.float16 else None
        report.found(f"network, {number} against float32", error, "of noise", limit)
        floor = 2 * macs / ceilings.half_precision
        report.measured(f"network, {number}, graph", median_seconds(partial(half, channels), device), floor)
    model.networks[0].to("cpu")


def multiplications(network: nn.Module, channels: torch.Tensor) -> int:
    """Multiply-adds of all convolutions."""
    total = 0

    def count(layer: nn.Module, _: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        per_pixel = layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else layer.weight[:, 0].numel() // 4
        total += output.numel() * per_pixel

    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.no_grad():
        network(channels)
    for hook in hooks:
        hook.remove()
    return total
