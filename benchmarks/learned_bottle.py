"""Ripple that dl, compressed sensing and SENSE leave in a uniform bottle, in per cent of its mean.

    python benchmarks/learned_bottle.py [--accelerations 2 6] [--patterns 2] [--draws 8] [--picture OUT.png]

The bottle is an ellipse of fluid (`datasets/analytic_phantom.py`), scanned by the simulator with a leg array of 16 coils, a
smooth phase and perfect fields, matrix and noise of the protocol `navigate`; the reconstruction calibrates itself as always.

    q      = mean over draws of |image| / |image of all lines without noise|
    ripple = √(s² - n²) / mean q        over pixels farther than 12 from the bottle's edge

s is the standard deviation of q after a Gaussian of one pixel and less a polynomial of fourth order (`quality.ripple`), n the
same of half the difference between the means over even and over odd draws: what noise is left in q. The quotient takes out what
is no fault of the method: the coils' shading and the ringing that all lines have. A draw is one of noise; lines are the same in
all of them, so that aliasing stays in the mean. Each pattern of lines by itself: mean and highest over the patterns.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from knee_contrasts import T2, one_slice
from knee_slices import SIMULATED_SNR, KneeSlice
from matplotlib.figure import Figure
from method_images import images_of
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from knerve.datasets.analytic_phantom import AnalyticPhantom, Ellipse
from knerve.datasets.reading import read_raw
from knerve.datasets.scan_plane import ScanPlane
from knerve.datasets.simulate import simulate
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.gpu.fourier import to_image
from knerve.recon.noise import estimate_whitening, prewhiten
from knerve.recon.quality import ripple
from knerve.recon.readout import to_hybrid_space

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

METHODS = ("sense", "cs", "dl")
LIMITS_PERCENT = {2.0: 0.5, 6.0: 1.0}  # of dl, as issue 6 asks
PLANE = ScanPlane((-90.0, 10.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
BOTTLE = Ellipse("synovial_fluid", 0.0, 0.0, 56.0, 50.0)
PERFECT = SimulationSettings(noise_free=True, fully_sampled=True, b0_variation_hz=0.0, b1_variation=0.0)
FROM_THE_EDGE = 12  # pixels
NOISE_BLUR = 1.0  # pixels, as of `quality.ripple`
SHOWN_PERCENT = 3.0


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accelerations", type=float, nargs="+", default=tuple(LIMITS_PERCENT))
    parser.add_argument("--patterns", type=int, default=2, help="of lines")
    parser.add_argument("--draws", type=int, default=8, help="of noise, an even number")
    parser.add_argument(
        "--snr", type=float, default=SIMULATED_SNR, help="of muscle, fully sampled; the bottle is brighter"
    )
    parser.add_argument("--picture", type=Path, help="the quotients of the first pattern, of all methods, as PNG")
    arguments = parser.parse_args()
    if arguments.draws < 2 or arguments.draws % 2:
        sys.exit(f"--draws is {arguments.draws}; it must be even: its halves show what noise is left.")
    bottle = bottle_slice()
    rows: list[dict[str, object]] = []
    shown: dict[str, Float] = {}
    for acceleration in arguments.accelerations:
        found = []
        for pattern in range(arguments.patterns):
            found.append(measured(bottle, acceleration, arguments.snr, pattern, arguments.draws))
            print(acceleration, pattern, found[-1].percent, file=sys.stderr, flush=True)
        rows.append(summary(bottle, acceleration, arguments.snr, found))
        shown |= {f"{method}, R = {acceleration:g}": quotient for method, quotient in found[0].quotients.items()}
    if arguments.picture is not None:
        save_picture(shown, arguments.picture)
    print(json.dumps(rows, indent=1))


def bottle_slice() -> KneeSlice:
    """The bottle, fully sampled and without noise."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw.h5")
        simulate(one_slice(T2), AnalyticPhantom([BOTTLE], PLANE), raw, settings=PERFECT)
        scan = read_raw(raw)
    assert scan.noise is not None, "the simulator writes noise readouts"
    samples = scan.noise.samples
    covariance = (samples @ samples.mH).numpy() / samples.shape[1] * scan.noise.variance_scale
    columns = to_hybrid_space(prewhiten(scan, estimate_whitening(scan)[0]), None).kspace[0]
    truth = torch.linalg.vector_norm(to_image(columns, (2,)), dim=1).T.contiguous()
    return KneeSlice(scan, truth.numpy(), np.asarray(np.linalg.cholesky(covariance), np.complex128))


@dataclass(frozen=True)
class Ripples:
    """Of one pattern of lines: quotient (y, x), ripple and what noise would add to it, by method."""

    quotients: dict[str, Float]
    percent: dict[str, float]
    noise_percent: dict[str, float]
    without_network: int


def measured(bottle: KneeSlice, acceleration: float, snr: float, pattern: int, n_draws: int) -> Ripples:
    """Reconstruct all draws of one pattern of lines."""
    counts = bottle.at(acceleration, snr, pattern).counts[0]
    sums = {method: np.zeros((2, *bottle.truth.shape)) for method in METHODS}
    without_network = 0
    for draw in range(n_draws):
        images, notes = images_of(bottle.with_lines(counts, snr, 1000 * pattern + draw), METHODS)
        without_network += bool(notes)
        for method, image in images.items():
            sums[method][draw % 2] += image
    inside = inner(bottle)
    quotients: dict[str, Float] = {}
    percent: dict[str, float] = {}
    noise_percent: dict[str, float] = {}
    for method, (even, odd) in sums.items():
        quotient = np.divide(even + odd, n_draws * bottle.truth, out=np.zeros_like(even), where=inside)
        left = np.divide(even - odd, n_draws * bottle.truth, out=np.zeros_like(even), where=inside)
        mean = float(quotient[inside].mean())
        quotient = np.where(inside, quotient, mean)  # blurring brings nothing in from outside
        noise = float(gaussian_filter(left, NOISE_BLUR)[inside].std()) / mean
        quotients[method] = quotient / mean
        percent[method] = 100 * math.sqrt(max(0.0, ripple(quotient, inside) ** 2 - noise**2))
        noise_percent[method] = 100 * noise
    return Ripples(quotients, percent, noise_percent, without_network)


def inner(bottle: KneeSlice) -> Mask:
    """Pixels far from the edge."""
    pixel_x, pixel_y, _ = (
        fov / n for fov, n in zip(bottle.scan.grid.recon_fov_mm, bottle.scan.grid.recon_matrix, strict=True)
    )
    y, x = (np.arange(n) - n // 2 for n in bottle.truth.shape)
    whole = (pixel_y * y[:, None] / BOTTLE.b) ** 2 + (pixel_x * x[None, :] / BOTTLE.a) ** 2 < 1
    return np.asarray(binary_erosion(whole, iterations=FROM_THE_EDGE))


def summary(bottle: KneeSlice, acceleration: float, snr: float, found: list[Ripples]) -> dict[str, object]:
    """Over all patterns of lines."""
    signal = float(np.median(bottle.truth[inner(bottle)])) * 2**0.5 * snr / SIMULATED_SNR
    result: dict[str, object] = {
        "R": acceleration,
        "signal over noise, fully sampled": round(signal, 1),
        "limit of dl, percent": LIMITS_PERCENT.get(acceleration),
        "scans_without_network": sum(each.without_network for each in found),
    }
    for method in METHODS:
        values = [each.percent[method] for each in found]
        result[f"ripple {method}, percent"] = round(float(np.mean(values)), 3)
        result[f"ripple {method}, highest"] = round(max(values), 3)
        result[f"noise taken out {method}"] = round(float(np.mean([each.noise_percent[method] for each in found])), 3)
    return result


def save_picture(quotients: dict[str, Float], path: Path) -> None:
    """Quotients beside each other, one row an acceleration."""
    rows = -(-len(quotients) // len(METHODS))
    figure = Figure(figsize=(3.2 * len(METHODS), 3.2 * rows), layout="constrained")
    span = SHOWN_PERCENT / 100
    for axes, (title, quotient) in zip(
        figure.subplots(rows, len(METHODS), squeeze=False).flat, quotients.items(), strict=True
    ):
        axes.imshow(quotient, cmap="gray", vmin=1 - span, vmax=1 + span, interpolation="nearest")
        axes.set_title(f"{title}, ± {SHOWN_PERCENT:g} %", fontsize=8)
        axes.set_axis_off()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
