"""What this card can do at best: copies and matrix products, measured. Everything else is held against these."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from gpu_report import Report

from knerve.gpu.cuda_timing import gpu_seconds

PAPER_BYTES_PER_S = 4.8e12  # H200, by its data sheet
PAPER_PRODUCTS_PER_S = 9.9e14  # bfloat16, dense, by the same
N_TIMES = 7


@dataclass(frozen=True)
class Ceilings:
    """Rates: bytes read plus written per second in the device's memory, pinned copies between host and device, operations."""

    memory: float
    to_device: float
    to_host: float
    half_precision: float


def median_seconds(work: Callable[[], object], device: torch.device, n_times: int = N_TIMES) -> float:
    """Median of some calls after two that warm up."""
    for _ in range(2):
        work()
    return statistics.median(gpu_seconds(work, device) for _ in range(n_times))


def measure(report: Report, device: torch.device, is_small: bool) -> Ceilings:
    """Rates of this machine, into the report too."""
    n = 1 << (22 if is_small else 30)
    source = torch.rand(n // 4, device=device)
    target = torch.empty_like(source)
    seconds = median_seconds(lambda: target.copy_(source), device)
    memory = 2 * n / seconds
    report.found("copy on the device, bytes read + written", memory / 1e12, "TB/s")
    host = torch.rand(n // 16)
    rates = {}
    for name, block in (("pageable", host), ("pinned", host.pin_memory() if device.type == "cuda" else host)):
        there = torch.empty_like(block, device=device)
        to_device = median_seconds(partial(there.copy_, block, non_blocking=True), device)
        to_host = median_seconds(partial(block.copy_, there, non_blocking=True), device)
        rates[name] = (block.nbytes / to_device, block.nbytes / to_host)
        report.found(f"{name} host to device", rates[name][0] / 1e9, "GB/s")
        report.found(f"device to {name} host", rates[name][1] / 1e9, "GB/s")
    for name, kind, precision in (
        ("float32", torch.float32, "highest"),
        ("TF32", torch.float32, "high"),
        ("bfloat16", torch.bfloat16, "highest"),
    ):
        side = 256 if is_small else 8192
        a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        seconds = median_seconds(partial(torch.matmul, a, b), device)
        torch.set_float32_matmul_precision(before)
        products = 2 * side**3 / seconds
        report.found(f"matrix product {side}, {name}", products / 1e12, "TFLOP/s")
    return Ceilings(memory, *rates["pinned"], products)
