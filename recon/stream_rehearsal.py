"""Once through all steps before they count: kernels are loaded, transforms planned and memory is taken while nobody waits."""

from __future__ import annotations

from dataclasses import replace

import torch

from knerve.recon.calibration import ENOUGH_LINES
from knerve.recon.proximal_gradient import AVERAGED
from knerve.recon.stages import Stopwatch
from knerve.recon.stream_lines import shared_lines
from knerve.recon.stream_refinement import refined
from knerve.recon.stream_stages import Stages

ACCELERATION = 3
WIDTH = 8.0  # of the invented k-space's centre, in samples


def rehearse(stages: Stages) -> None:
    """Reconstruct an invented slice of the same shape, with few iterations, and forget it.

    Raises:
        NotStreamableError: the matrix has too few lines for a calibration.
    """
    settings = replace(stages.settings, max_iterations=min(AVERAGED, stages.settings.max_iterations))
    stages = replace(stages, settings=settings, watch=Stopwatch())
    target, n_lines = stages.new_slice(), stages.outline.n_lines
    from_centre = torch.arange(n_lines) - n_lines // 2
    target.counts += ((from_centre % ACCELERATION == 0) | (2 * from_centre.abs() < ENOUGH_LINES)).to(torch.int32)
    along_y = torch.exp(-((from_centre / WIDTH) ** 2)) * target.counts
    n_kx = target.centre.shape[-1]
    along_x = torch.exp(-(((torch.arange(n_kx) - n_kx // 2) / WIDTH) ** 2))
    target.kspace += along_y
    target.centre += along_y[stages.central, None] * along_x
    lines = shared_lines(target.counts, stages.outline, settings)
    solution = stages.solve(target, stages.calibrate(target, lines)[0], lines)
    solution.finished_image(stages.watch)
    if stages.settings.method == "dl":
        refined(solution, settings, stages.watch)
    solution.noise_level(stages.watch)
