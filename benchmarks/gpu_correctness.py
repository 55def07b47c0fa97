"""Each GPU path against its CPU twin."""

from __future__ import annotations

from dataclasses import replace

import torch
from gpu_problem import Problem, Steps, problem_of
from gpu_report import Report
from gpu_scans import N_RADII
from torch import Tensor

from knerve.gpu.cuda_choice import relative_difference
from knerve.gpu.cuda_kernels import Compile, compiled_by_cupy
from knerve.gpu.cuda_on_cpu import compiled_by_gcc
from knerve.gpu.cuda_step import ways
from knerve.gpu.cuda_update import CudaUpdate
from knerve.gpu.cuda_wavelets import N_THREADS, CudaWaveletShrinkage
from knerve.recon.cuda_iterates import CudaIterates
from knerve.recon.iterates import Schedule
from knerve.recon.pipeline import reconstruct
from knerve.recon.plain_iterates import PlainIterates
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings
from knerve.recon.sparsity import shrink_by_neighbours
from knerve.recon.wavelets import FILTERS, WaveletTransform

ROUNDING = 1e-5
SAME_IMAGE = {"cs": 1e-3, "sense": 1e-3, "dl": 1e-2}  # noise standard deviations
CPU = torch.device("cpu")


def compiler(device: torch.device) -> tuple[Compile, int | None]:
    """How kernels are compiled for a device, and with how many threads a block."""
    return (compiled_by_cupy, None) if device.type == "cuda" else (compiled_by_gcc, 1)


def problem_on(scan: RawScan, device: torch.device) -> Problem:
    """Two slices up to the solver, made on the CPU and sent to the device."""
    return problem_of(scan.select(range(2)), Settings(device="cpu"), CPU).to(device)


def check_gradient_steps(report: Report, problem: Problem, device: torch.device) -> None:
    """All ways to the normal operator against `CartesianEncoding.normal` on the CPU."""
    encoding = problem.encoding
    image = problem.right_side
    expected = replace(encoding, maps=encoding.maps.cpu(), counts=encoding.counts.cpu()).normal(image.cpu())
    compile_source, _ = compiler(device)
    for name, make in ways(compile_source).items():
        if device.type == "cpu" and name.startswith("kernel") and "1 col" not in name:
            continue  # its threads are slow there
        target = torch.full_like(image, torch.nan)
        nothing, one = torch.zeros_like(image), torch.ones(image.shape[0], device=device)
        try:
            step = make(encoding.maps, encoding.counts.shape[1], encoding.imaginary_penalty)
            step.set_counts(encoding.counts)
            step(image, image, 0 * one, nothing, one, target)
            error = relative_difference((image - target).cpu(), expected)
        except (RuntimeError, ImportError) as problem_here:  # the other ways are still worth knowing
            report.failures[f"normal operator, {name}"] = str(problem_here)
            continue
        report.found(f"normal operator, {name}", error, "relative", 1e-4)


def wavelet_kernels(image: Tensor, wavelet: WaveletTransform, device: torch.device) -> CudaWaveletShrinkage:
    """The wavelet kernels for images like this one."""
    compile_source, n_threads = compiler(device)
    return CudaWaveletShrinkage(
        FILTERS[wavelet.name],
        wavelet.levels,
        image.shape,
        (wavelet.padded_sides[0], wavelet.padded_sides[1]),
        device,
        compile_source=compile_source,
        n_threads=n_threads or N_THREADS,
    )


def check_wavelets(report: Report, problem: Problem, device: torch.device) -> None:
    """The shrinkage against the plain transform on the CPU."""
    image, prior = problem.right_side, problem.prior()
    wavelet, threshold = prior.wavelet, prior.wavelet_weight.flatten()
    kernel = wavelet_kernels(image, wavelet, device)
    zero, new = torch.zeros_like(image), torch.zeros_like(image)
    update = CudaUpdate(zero, new, torch.zeros_like(threshold), zero.clone(), 1.0)
    shift = (3 % wavelet.period, 5 % wavelet.period)
    kernel(
        image, torch.tensor(shift, dtype=torch.int32, device=device), threshold, 2 * torch.ones_like(threshold), update
    )
    coefficients = wavelet.forward(image.cpu(), shift)
    for band in wavelet.details(coefficients):
        band.copy_(shrink_by_neighbours(band, 2 * threshold.cpu().reshape(-1, 1, 1, 1), wavelet.dims))
    expected = wavelet.adjoint(coefficients, shift)
    report.found("wavelet shrinkage", relative_difference(new.cpu(), expected), "relative", ROUNDING)


def check_iterates(report: Report, problem: Problem, device: torch.device) -> None:
    """Three cycles, the last ones replayed from a CUDA graph, against plain iterates on the same device."""
    compile_source, n_threads = compiler(device)
    arguments = (problem.encoding, problem.right_side)
    plain = PlainIterates(*arguments, problem.prior(), problem.lipschitz)
    cuda = CudaIterates(
        *arguments, problem.prior(), problem.lipschitz, compile_source=compile_source, n_threads=n_threads
    )
    schedules = [Schedule(4 * torch.ones_like(problem.lipschitz)) for _ in range(2)]
    for cycle in range(4):
        for iterates, schedule in zip((plain, cuda), schedules, strict=True):
            iterates.advance_by(8, schedule)
        difference = relative_difference(cuda.take_mean(), plain.take_mean())
        report.found(f"mean of iterations {8 * cycle + 1} to {8 * cycle + 8}", difference, "relative", 1e-4)


def check_sensitivities(report: Report, scan: RawScan, device: torch.device) -> None:
    """ESPIRiT: what both make of the same data, inside of the object."""
    found = []
    for place in (CPU, device):
        steps = Steps(scan.select(range(min(3, scan.n_slices))), Settings(), place)
        raw, block = steps.on_device()
        found.append(steps.sensitivities(steps.hybrid(raw, block, steps.whitening())).maps.cpu())
    expected, maps = found
    # a common phase factor of a pixel is free: projectors are compared, through the norm of the overlap
    overlap = (expected.conj() * maps).sum(3).abs()
    strength = expected.abs().square().sum(3).sqrt() * maps.abs().square().sum(3).sqrt()
    inside = strength > 0.5
    report.found(
        "ESPIRiT, 1 - overlap, worst pixel inside",
        float((1 - overlap / strength.clamp(min=1e-6))[inside].max()),
        "",
        1e-3,
    )
    report.found("ESPIRiT, maps", relative_difference(maps, expected), "relative", 1e-2)


def check_pipeline(report: Report, scan: RawScan, settings: Settings) -> None:
    """Slices with different objects on the CPU and as the settings say, in noise standard deviations, the worst slice of them."""
    some, method = scan.select(range(min(N_RADII, scan.n_slices))), settings.method
    expected, image = (reconstruct(some, each).image for each in (replace(settings, device="cpu"), settings))
    complex_difference, magnitude = worst_slice(image - expected), worst_slice(image.abs() - expected.abs())
    report.found(f"{method}: root mean square difference GPU - CPU", complex_difference, "of noise", SAME_IMAGE[method])
    report.found(f"{method}: the same of magnitudes", magnitude, "of noise", SAME_IMAGE[method])


def worst_slice(difference: Tensor) -> float:
    """Largest root mean square of the slices (slice, y, x)."""
    return float(difference.abs().square().flatten(1).mean(1).sqrt().max())
