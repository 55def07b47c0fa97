"""Seconds of every stage around the solver, for one slice of the demo scan: whitening, calibration, compression, noise map.

    python benchmarks/stages.py [--matrix 552 484] [--coils 16] [--acceleration 3] [--runs 9] [--threads 2]

Stages run one after the other in every round, after one round that compiles kernels and fills caches. `wall` is what a clock
shows, `cpu` what the process spent on all cores; both minimum and median. On a machine shared with others trust the minima.
`parts of calibrate` are the same work again, step by step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from knerve.datasets.demo_scan import write_demo_scan
from knerve.datasets.reading import read_raw
from knerve.gpu.devices import cpu_threads
from knerve.recon.calibration import calibration_lines, estimate_sensitivities
from knerve.recon.coarse_maps import coarse_eigenvectors, coarse_grid
from knerve.recon.coils import compress_coils
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.extent import crop_to_acquired
from knerve.recon.methods import wiener_weight
from knerve.recon.noise import estimate_whitening, mix_coils
from knerve.recon.noise_map import analytic_noise_map
from knerve.recon.patch_subspace import signal_projector
from knerve.recon.readout import to_hybrid_space
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings


class Rounds:
    """Wall and CPU seconds of named stages, round by round."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))

    def summary(self) -> dict[str, dict[str, float]]:
        """Minima and medians in milliseconds, without the first round."""
        table = {}
        for name, rounds in self.seconds.items():
            wall, cpu = ([1e3 * seconds[i] for seconds in rounds[1:]] for i in range(2))
            table[name] = {
                "wall_min_ms": round(min(wall), 1),
                "wall_median_ms": round(statistics.median(wall), 1),
                "cpu_min_ms": round(min(cpu), 1),
                "cpu_median_ms": round(statistics.median(cpu), 1),
            }
        return table


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", type=int, nargs=2, default=(552, 484), help="readout and phase encodes")
    parser.add_argument("--coils", type=int, default=16)
    parser.add_argument("--acceleration", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    scan = demo_slice(tuple(arguments.matrix), arguments.coils, arguments.acceleration)
    rounds = Rounds()
    with cpu_threads(arguments.threads):
        for _ in range(arguments.runs + 1):
            all_stages(scan, rounds)
        document = {
            "matrix": arguments.matrix,
            "coils": arguments.coils,
            "acceleration": arguments.acceleration,
            "threads": torch.get_num_threads(),
            "stages": rounds.summary(),
        }
    print(json.dumps(document, indent=1))


def demo_slice(matrix: tuple[int, int], n_coils: int, acceleration: float) -> RawScan:
    """One slice of the demo scan, through a file as any other."""
    n_calibration = 32 if acceleration < 4 else 24
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "raw.h5")
        write_demo_scan(
            path, n_slices=1, matrix=matrix, n_coils=n_coils, acceleration=acceleration, n_calibration=n_calibration
        )
        return read_raw(path)


def all_stages(scan: RawScan, rounds: Rounds) -> None:
    """One round."""
    settings = Settings()
    with rounds.stage("noise"):
        whitening, _ = estimate_whitening(scan)
    with rounds.stage("calibration lines"):
        calibration = calibration_lines(scan, settings).kspace
        acquired = crop_to_acquired(scan)
    with rounds.stage("whiten and readout"):
        block = mix_coils(whitening.matrix, calibration)
        hybrid = to_hybrid_space(acquired, block, whitening.matrix)
    with rounds.stage("calibrate"):
        sensitivities, _ = estimate_sensitivities(hybrid, settings)
    shape = (hybrid.kspace.shape[3], hybrid.kspace.shape[1])
    kernel = (settings.kernel_width,) * 2
    with rounds.stage("parts of calibrate: patches and their subspace"):
        projector = signal_projector(block[0], kernel)
    with rounds.stage("parts of calibrate: eigenvectors on the coarse grid"):
        grid = coarse_grid(shape, kernel, hybrid.calibration_fov[1::-1])
        coarse_eigenvectors(projector, grid.sides, grid.fov, 2)
    with rounds.stage("compress"):
        hybrid, sensitivities = compress_coils(hybrid, sensitivities, settings)
    encoding = CartesianEncoding(sensitivities.maps, hybrid.counts)
    mu = wiener_weight(encoding, encoding.adjoint_of_data(hybrid))
    with rounds.stage("noise map"):
        analytic_noise_map(encoding, mu)


if __name__ == "__main__":
    main()
