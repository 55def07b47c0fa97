"""Whole scans, raw data on the host to images on the host; on a small card too; slice by slice while a scan arrives; learned."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from gpu_ceilings import Ceilings
from gpu_report import Report
from gpu_scans import MadeScan, Sizes
from torch import Tensor

from knerve.gpu.devices import free_memory_bytes
from knerve.recon import pipeline
from knerve.recon.cuda_iterates import release_memory
from knerve.recon.noise import estimate_whitening
from knerve.recon.settings import Settings
from knerve.recon.stream_outline import Outline
from knerve.recon.streaming import FinishedSlice, StreamingReconstruction

SMALL_CARD_BYTES = 6 << 30
CALIBRATIONS_S = 3.0  # of all slices together


def time_scan(
    report: Report,
    name: str,
    made: MadeScan,
    sizes: Sizes,
    settings: Settings,
    ceilings: Ceilings,
    limit_s: float | None,
    n_times: int,
    n_first: int = 1,
) -> tuple[float, float]:
    """Least time of some reconstructions after the first ones, its stages, its error and its peak of memory.

    Returns:
        Seconds, and NRMSE against the truth.
    """
    is_cuda = settings.device == "cuda"
    start = time.perf_counter()
    series = pipeline.reconstruct(made.scan, settings)
    report.measured(f"{name}: the first time", time.perf_counter() - start)
    for _ in range(n_first - 1):
        pipeline.reconstruct(made.scan, settings)
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    best, stages = float("inf"), {}
    for _ in range(n_times):
        start = time.perf_counter()
        series = pipeline.reconstruct(made.scan, settings)
        seconds = time.perf_counter() - start
        if seconds < best:
            best, stages = seconds, series.seconds
    floor = sizes.raw_bytes / ceilings.to_device + series.image.nbytes / ceilings.to_host
    report.measured(f"{name}: whole scan", best, floor, limit_s)
    for stage, seconds in stages.items():
        report.measured(f"{name}: of it {stage}", seconds)
    error = error_against(made.truth, series.image)
    report.found(f"{name}: NRMSE against the truth", error, "")
    if is_cuda:
        report.found(f"{name}: peak of device memory", torch.cuda.max_memory_allocated() / 2**30, "GiB")
    for note in series.notes:
        print("      note:", note, flush=True)
    return best, error


def error_against(truth: Tensor, image: Tensor) -> float:
    """NRMSE of magnitudes inside of the object after one real scale factor."""
    found, expected = image.abs(), truth.abs()
    inside = expected > 0.1 * expected.max()
    found, expected = found[inside], expected[inside]
    scale = (found * expected).sum() / found.square().sum()
    return float(torch.linalg.vector_norm(scale * found - expected) / torch.linalg.vector_norm(expected))


def profile(report: Report, made: MadeScan, settings: Settings, path: Path) -> None:
    """Which kernels take the time of one reconstruction."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if settings.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        pipeline.reconstruct(made.scan, settings)
    order = "self_cuda_time_total" if settings.device == "cuda" else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=order, row_limit=60, max_name_column_width=70)
    path.write_text(table, encoding="utf-8")
    report.facts["profile"] = path.name


@contextmanager
def small_card(device: torch.device) -> Iterator[None]:
    """Let torch take no more than `SMALL_CARD_BYTES` of a GPU, and let the pipeline see no more."""

    def seen(asked: torch.device) -> int:
        if asked.type != "cuda":
            return free_memory_bytes(asked)
        return max(0, min(free_memory_bytes(asked), SMALL_CARD_BYTES - torch.cuda.memory_allocated(asked)))

    total = torch.cuda.get_device_properties(device).total_memory
    release_memory()
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(SMALL_CARD_BYTES / total)
    try:
        with patch("knerve.recon.pipeline.free_memory_bytes", seen):
            yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def time_stream(report: Report, made: MadeScan, settings: Settings, limit_s: float | None) -> None:
    """Seconds from the last readout of a slice to its image, when all other readouts have come before.

    Twice: a navigating scan is repeated, and the first one records the graphs of every height of object.
    """
    _waits_in_stream(made, settings)
    waits, arrival_s = _waits_in_stream(made, settings)
    waits = waits[1:] or waits  # the first one learns which lines there are
    report.measured("stream: last readout to image, slowest slice", max(waits), None, limit_s)
    report.measured("stream: last readout to image, median slice", sorted(waits)[len(waits) // 2])
    report.measured("stream: a readout's arrival, median", sorted(arrival_s)[len(arrival_s) // 2])


def _waits_in_stream(made: MadeScan, settings: Settings) -> tuple[list[float], list[float]]:
    """Seconds that each slice is waited for, and that each readout takes."""
    scan = replace(made.scan, counts=made.scan.counts.clamp(max=1))
    lines = torch.nonzero(scan.counts[0])[:, 0].tolist()
    arrived: dict[int, float] = {}

    def deliver(finished: FinishedSlice) -> None:
        arrived[finished.entry] = time.perf_counter()

    outline = Outline(scan.n_slices, scan.n_coils, scan.grid, scan.sampled_kx)
    stream = StreamingReconstruction(outline, estimate_whitening(scan)[0], settings, deliver)
    arrival_s: list[float] = []
    waits = []
    try:  # the first slice tells which lines there are; then all others are calibrated, in a real scan long before their end
        for line in lines[:-1]:
            for s in range(scan.n_slices):
                start = time.perf_counter()
                stream.add(s, line, scan.kspace[s, :, line])
                arrival_s.append(time.perf_counter() - start)
        for s in range(scan.n_slices):
            stream.add(s, lines[-1], scan.kspace[s, :, lines[-1]])
            last = time.perf_counter()
            stream.complete(s)
            while s not in arrived and not stream.has_failed():
                time.sleep(1e-4)
            waits.append(arrived.get(s, float("nan")) - last)
            time.sleep(CALIBRATIONS_S if s == 0 and settings.device == "cuda" else 0)
        stream.finish()
    finally:
        stream.close()
    return waits, arrival_s
