"""Seconds of each stage of a scan beside the least that memory allows: every input read once, every result written once."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from gpu_ceilings import Ceilings, median_seconds
from gpu_correctness import compiler, wavelet_kernels
from gpu_problem import Problem, Steps
from gpu_report import Report
from gpu_scans import Sizes

from knerve.gpu.cuda_choice import known_choices
from knerve.gpu.cuda_step import ways
from knerve.gpu.cuda_update import CudaUpdate
from knerve.gpu.cuda_variation import N_THREADS as VARIATION_THREADS
from knerve.gpu.cuda_variation import CudaVariationStep
from knerve.recon.cuda_iterates import CudaIterates
from knerve.recon.finish import finish_image
from knerve.recon.iterates import Schedule
from knerve.recon.methods import wiener_weight
from knerve.recon.noise_map import analytic_noise_map
from knerve.recon.proximal_gradient import proximal_gradient
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings
from knerve.recon.sparsity import CYCLE
from knerve.recon.transform_length import in_scan_units, smooth_on_scan_grid

COMPLEX = 8  # bytes
FLOORS_OF_A_STEP = 2.0  # issue 8
WAVELET_IMAGES = 4  # read and written: one each there and back
VARIATION_IMAGES = 13  # v, p (2), p_next (2); then v, p_next (2), x, before, mean, and before and mean written


def timed(work: Callable[[], object], device: torch.device, n_times: int = 3) -> float:
    """Least seconds by the clock of some calls after one: for work that the host takes part in."""
    work()
    best = float("inf")
    for _ in range(n_times):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def time_stages(
    report: Report, scan: RawScan, sizes: Sizes, settings: Settings, ceilings: Ceilings, device: torch.device
) -> Problem:
    """Stages before and after the solver, of the whole scan at once; returns what the solver works on."""
    steps = Steps(scan, settings, device)
    whitening = steps.whitening()
    report.measured("noise covariance (host)", timed(steps.whitening, device))
    report.measured("raw data to the device", timed(steps.on_device, device), sizes.raw_bytes / ceilings.to_device)
    raw, block = steps.on_device()
    hybrid = steps.hybrid(raw, block, whitening)
    hybrid_bytes = hybrid.kspace.nbytes
    report.measured(
        "prewhiten, readout FFT, pad",
        timed(lambda: steps.hybrid(raw, block, whitening), device),
        (sizes.raw_bytes + hybrid_bytes) / ceilings.memory,
    )
    sensitivities = steps.sensitivities(hybrid)
    report.measured(
        "ESPIRiT", timed(lambda: steps.sensitivities(hybrid), device), sensitivities.maps.nbytes / ceilings.memory
    )
    problem = steps.problem(hybrid, sensitivities)
    moved = hybrid_bytes + 2 * sensitivities.maps.nbytes + problem.encoding.maps.nbytes
    report.measured(
        "compression, right side", timed(lambda: steps.problem(hybrid, sensitivities), device), moved / ceilings.memory
    )
    mu = wiener_weight(problem.encoding, problem.right_side)
    report.measured(
        "noise map",
        timed(lambda: analytic_noise_map(problem.encoding, mu), device),
        _matrices_bytes(problem) / ceilings.memory,
    )
    image = torch.zeros(*problem.right_side.shape[:-1], hybrid.counts.shape[1], dtype=torch.complex64, device=device)
    strength = smooth_on_scan_grid(sensitivities.strength, hybrid.added_lines)

    def output() -> object:
        return finish_image(in_scan_units(image, hybrid.added_lines), strength, raw).cpu()

    report.measured("output: finish, to the host", timed(output, device), output().nbytes / ceilings.to_host)  # type: ignore[attr-defined]
    return problem


def time_solver(report: Report, problem: Problem, ceilings: Ceilings, device: torch.device) -> None:
    """The normal operator in all ways, wavelets, a cycle of iterations, and the whole solution."""
    encoding, image = problem.encoding, problem.right_side
    step_floor = (encoding.maps.nbytes + 4 * image.nbytes) / ceilings.memory
    step_seconds = []
    compile_source, n_threads = compiler(device)
    for name, make in ways(compile_source).items():
        if device.type == "cpu" and name.startswith("kernel") and "1 col" not in name:
            continue
        try:
            step = make(encoding.maps, encoding.counts.shape[1], encoding.imaginary_penalty)
            step.set_counts(encoding.counts)
            one, target = torch.ones(image.shape[0], device=device), torch.empty_like(image)
            work = partial(step.__call__, image, image, one, image, one, target)
            step_seconds.append(median_seconds(work, device))
            report.measured(f"gradient step, {name}", step_seconds[-1], step_floor)
        except RuntimeError as error:  # out of memory, say: the other ways are still worth knowing
            report.failures[f"gradient step, {name}"] = str(error)
    limit = FLOORS_OF_A_STEP if device.type == "cuda" else None
    report.found("gradient step, quickest", min(step_seconds, default=float("nan")) / step_floor, "floors", limit)
    prior = problem.prior()
    wavelet, threshold = prior.wavelet, prior.wavelet_weight.flatten()
    kernel = wavelet_kernels(image, wavelet, device)
    shift = torch.ones(2, dtype=torch.int32, device=device)
    wavelet_floor = WAVELET_IMAGES * image.nbytes / ceilings.memory
    one = torch.ones_like(threshold)
    shrinkage = partial(kernel.in_place, image.clone(), shift, threshold, one)
    report.measured("wavelets + threshold", median_seconds(shrinkage, device), wavelet_floor)
    variation_floor = VARIATION_IMAGES * image.nbytes / ceilings.memory
    variation = CudaVariationStep(
        image.shape, device, compile_source=compile_source, n_threads=n_threads or VARIATION_THREADS
    )
    update = CudaUpdate(image, torch.zeros_like(image), one, torch.zeros_like(image), 0.1)
    lowering = partial(variation.__call__, image, threshold, one, update, False)
    report.measured("total variation + momentum + mean", median_seconds(lowering, device), variation_floor)

    iterates = CudaIterates(
        encoding, image, problem.prior(), problem.lipschitz, compile_source=compile_source, n_threads=n_threads
    )
    schedule = Schedule(torch.ones_like(problem.lipschitz))
    cycle = partial(iterates.advance_by, CYCLE, schedule)
    cycle_floor = CYCLE * (step_floor + wavelet_floor + variation_floor)
    report.measured(f"cycle of {CYCLE} iterations as one graph", median_seconds(cycle, device, 5), cycle_floor)
    report.facts["choices"] = {str(key): vars(choice) for key, choice in known_choices().items()}

    def whole() -> object:
        settings = problem.settings
        return proximal_gradient(
            encoding,
            image,
            problem.prior(),
            problem.lipschitz,
            tolerance=settings.tolerance,
            max_iterations=settings.max_iterations,
        )

    report.measured("solver, to its stopping rule", timed(whole, device))


def _matrices_bytes(problem: Problem) -> int:
    """What the dense matrices of the noise map's columns take, read and written twice."""
    maps = problem.encoding.maps
    side = maps.shape[2] * maps.shape[4]
    return 4 * COMPLEX * maps.shape[0] * -(-maps.shape[1] // 20) * side * side
