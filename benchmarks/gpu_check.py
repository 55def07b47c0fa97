"""Everything about knerve on a GPU in one run of less than ten minutes: is it right, how fast, how far from the floor.

    bash benchmarks/gpu_check.sh --out gpu-check             on a machine with one NVIDIA GPU, torch and CuPy
    python benchmarks/gpu_check.py --cpu --out gpu-check     a rehearsal on small sizes: does the script itself work?

Each part is guarded: one that fails is listed, and the others go on; exit code 1 if anything failed or a limit was passed. A
table comes last; `--out` holds it, report.json and the kernels of one reconstruction, and is written again after every part.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from unittest.mock import patch

import gpu_ceilings
import gpu_correctness
import gpu_learned
import gpu_peers
import gpu_stages
import gpu_whole
import torch
from gpu_ceilings import Ceilings
from gpu_problem import Problem
from gpu_report import Report
from gpu_scans import NAVIGATE, PLANNING, SMALL, SMALL_PLANNING, make_scan

from knerve.gpu.cuda_graph import Replayed
from knerve.gpu.cuda_network import FIRST_CALLS
from knerve.gpu.cuda_on_cpu import has_gcc
from knerve.recon.settings import Settings

PACKAGES = ("torch", "cupy-cuda13x", "cupy-cuda12x", "numpy", "scipy", "numba", "sigpy", "h5py", "ismrmrd", "pydicom")
TESTS_LIMIT_S = 120.0
LIMIT_S = 420.0  # the last part may take two minutes more
TESTS = (
    "tests/gpu/test_cuda_kernels.py",
    "tests/gpu/test_cuda_normal.py",
    "tests/gpu/test_cuda_network.py",
    "tests/gpu/test_host_copies.py",
    "tests/gpu/test_arriving_lines.py",
    "tests/recon/test_cuda_iterates.py",
    "tests/recon/learned/test_cuda_model.py",
)
ASTRAY = ("illegal", "misaligned", "unspecified launch", "TimeoutExpired")
VIRTUAL_COILS = 8  # drawn coils are smooth: 3 or 4 would hold their signal, of a real array's more are needed
GOALS_S = {"navigate cs": 0.060, "navigate dl": 0.150, "planning cs": 0.600, "slice": 0.010}  # issue 8


def main() -> int:
    """Run all parts; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="rehearse on the CPU with small sizes")
    parser.add_argument("--out", type=Path, help="folder for report.json, table.txt and profile.txt")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds after which no part begins")
    arguments = parser.parse_args()
    report = Report(arguments.limit, folder=arguments.out)
    if not arguments.cpu and not torch.cuda.is_available():
        parser.error("torch finds no CUDA GPU here; --cpu rehearses on the CPU")
    run(report, torch.device("cpu" if arguments.cpu else "cuda"), arguments.out)
    report.save()
    print("\n" + report.table())
    return 0 if report.is_fine else 1


def run(report: Report, device: torch.device, out: Path | None) -> None:
    """All parts in the order of their worth."""
    is_cpu = device.type == "cpu"
    navigate, planning = (SMALL, SMALL_PLANNING) if is_cpu else (NAVIGATE, PLANNING)
    goals: dict[str, float | None] = dict.fromkeys(GOALS_S) if is_cpu else dict(GOALS_S)
    settings = Settings(device="cpu") if is_cpu else Settings(device="cuda", virtual_coils=VIRTUAL_COILS)
    ceilings = Ceilings(gpu_ceilings.PAPER_BYTES_PER_S, 5e10, 5e10, gpu_ceilings.PAPER_PRODUCTS_PER_S)
    with report.part("machine"):
        report.facts |= machine(device)
    with report.part("ceilings"):
        ceilings = gpu_ceilings.measure(report, device, is_cpu)
    kernels_run = not is_cpu or has_gcc()
    if not is_cpu:
        with report.part("tests"):  # in a process of their own: a kernel that goes astray takes its process with it
            report.facts["tests"] = gpu_tests()
        kernels_run = not any(word in report.failures.get("tests", "") for word in ASTRAY)
    made = make_scan(navigate, device)
    with report.part("correct"):
        gpu_correctness.check_sensitivities(report, made.scan, device)
    if not kernels_run:
        why = (
            "g++ is not here: it compiles the CUDA kernels for the CPU" if is_cpu else "they went astray in their tests"
        )
        without_kernels(report, why)
    else:
        for name, check in (
            ("normal", gpu_correctness.check_gradient_steps),
            ("wavelets", gpu_correctness.check_wavelets),
            ("iterates", gpu_correctness.check_iterates),
        ):
            with report.part(name):
                check(report, gpu_correctness.problem_on(made.scan, device), device)
        if not is_cpu:
            without_what_fails(report, partial(gpu_correctness.problem_on, made.scan, device), device)
    for each in (replace(settings, snr_map="none"), replace(settings, snr_map="none", method="dl")):
        with report.part(f"same {each.method}"):
            gpu_correctness.check_pipeline(report, made.scan, each)
    ours_s = ours_error = float("nan")
    with report.part("navigate"):
        alone = replace(settings, snr_map="none")
        seconds, ours_error = gpu_whole.time_scan(
            report, "cs", made, navigate, alone, ceilings, goals["navigate cs"], 2 if is_cpu else 10
        )
        ours_s = seconds / navigate.n_slices
        gpu_whole.time_scan(report, "cs + noise map", made, navigate, settings, ceilings, None, 1 if is_cpu else 5)
    with report.part("stages"):
        problem = gpu_stages.time_stages(report, made.scan, navigate, settings, ceilings, device)
        if kernels_run:
            gpu_stages.time_solver(report, problem, ceilings, device)
        del problem
    with report.part("learned"):
        learned = replace(settings, method="dl")
        # a box of the object comes three times a scan: its graph is there after so many
        often = 1 if is_cpu else FIRST_CALLS // 2
        goal = goals["navigate dl"]
        gpu_whole.time_scan(report, "dl", made, navigate, learned, ceilings, goal, 1 if is_cpu else 5, often)
        gpu_learned.check_network(report, ceilings, device)
    if out is not None and report.has_time_for("profile"):
        with report.part("profile"):
            gpu_whole.profile(report, made, settings, out / "profile.txt")
    if report.has_time_for("stream"):
        with report.part("stream"):
            gpu_whole.time_stream(report, made, settings, goals["slice"])
    if report.has_time_for("SigPy"):
        with report.part("SigPy"):
            gpu_peers.time_sigpy(report, made, navigate.n_calibration, device, ours_s, ours_error)
    del made
    if report.has_time_for("planning"):
        with report.part("planning"):
            large = make_scan(planning, device)
            gpu_whole.time_scan(
                report, "cs", large, planning, settings, ceilings, goals["planning cs"], 1 if is_cpu else 3
            )
            if not is_cpu:
                with gpu_whole.small_card(device):
                    gpu_whole.time_scan(report, "6 GB card, cs", large, planning, settings, ceilings, None, 1)


def without_what_fails(report: Report, problem: Callable[[], Problem], device: torch.device) -> None:
    """Where kernels or graphs failed, do without them: what is left is still worth its numbers."""
    if "iterates" in report.failures:
        Replayed.records = False
        with report.part("no graphs"):
            gpu_correctness.check_iterates(report, problem(), device)
    if "wavelets" in report.failures or "no graphs" in report.failures:
        without_kernels(report, "they failed")


def without_kernels(report: Report, why: str) -> None:
    """Plain tensor operations from here on."""
    report.skipped["kernels"] = why
    for module in ("knerve.recon.cuda_iterates", "knerve.recon.learned.cuda_model"):
        patch(f"{module}.has_cupy", lambda: False).start()


def machine(device: torch.device) -> dict[str, object]:
    """What the numbers belong to."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    facts: dict[str, object] = {"python": platform.python_version(), "versions": versions, "device": str(device)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["gpu"] = {
            "name": properties.name,
            "memory_gib": properties.total_memory / 2**30,
            "multiprocessors": properties.multi_processor_count,
            "cuda": torch.version.cuda,
        }
    for name, value in facts.items():
        print("   ", name, value, flush=True)
    return facts


def gpu_tests() -> str:
    """The tests that need a GPU; their last lines."""
    options = ("-q", "-m", "gpu", "-p", "no:cacheprovider", "-W", "default", "--import-mode=importlib")
    command = [sys.executable, "-m", "pytest", *options, *TESTS]
    root = Path(__file__).resolve().parents[1]
    run_them = partial(
        subprocess.run, command, capture_output=True, text=True, cwd=root, timeout=TESTS_LIMIT_S, check=False
    )
    try:
        done = run_them()
    except subprocess.TimeoutExpired:
        done = run_them()  # kernels that were compiled are kept; what hangs, hangs again
    ending = "\n".join(done.stdout.strip().splitlines()[-15:])
    print(ending, flush=True)
    if done.returncode:
        raise RuntimeError(f"tests failed:\n{ending}\n{done.stderr[-1000:]}")
    return ending


if __name__ == "__main__":
    sys.exit(main())
