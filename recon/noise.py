"""Noise: how much there is in each channel, how channels share it, and its removal as a unit (prewhitening).

With the covariance of the channels C = E[n nᴴ] = L Lᴴ (Cholesky), whitened data are L⁻¹ y: noise becomes uncorrelated with
E|n|² = 1 in every channel. From here on every number of the package is in units of that noise.

Method: Pruessmann et al. 2001, doi:10.1002/mrm.1241; Kellman and McVeigh 2005, doi:10.1002/mrm.20713.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from knerve.recon.errors import RawDataError
from knerve.recon.images import NoiseReport
from knerve.recon.scan import RawScan

EDGE_FRACTION = 0.05  # of the readout at each end counts as edge
OUTER_LINES = 0.25  # of the sampled lines, those farthest from the centre
MIN_SAMPLES_PER_COIL = 8  # fewer independent samples than this many per channel make no covariance
EDGE_CAVEAT = ", too high where that edge holds signal"
DEAD_CHANNEL = 1e-6  # of the noisiest channel's noise: no receiver is that quiet
ASSUMED_NOISE = 1e-4  # of the largest sample, where the data have none
SHRINKAGE_SAMPLES_PER_COIL = 20  # with fewer than this, correlations are pulled towards zero in proportion


@dataclass(frozen=True)
class Whitening:
    """The matrix that whitens, `matrix (coil, coil)` complex64, and how it was found."""

    matrix: Tensor
    report: NoiseReport


def estimate_whitening(scan: RawScan) -> tuple[Whitening, tuple[str, ...]]:
    """Find the whitening matrix of a scan, from noise readouts or else from the edge of k-space, and say which.

    The edge still holds a little signal; a robust (median) scale keeps it from inflating the noise. Channels without any noise
    are dead and left out; where no channel has noise (simulated data) a little white noise is assumed.

    Returns:
        The whitening and the notes for the user.

    Raises:
        RawDataError: k-space is zero everywhere.
    """
    notes: tuple[str, ...] = ()
    if scan.noise is not None and scan.noise.samples.shape[1] >= MIN_SAMPLES_PER_COIL * scan.n_coils:
        samples, source = scan.noise.samples, "noise readouts"
        covariance = _covariance(samples) * scan.noise.variance_scale
    else:
        samples, source = _edge_samples(scan), "k-space edge"
        covariance = _robust_covariance(samples)
        reason = "no noise readouts" if scan.noise is None else "too few noise samples"
        notes = (f"{reason}: noise was estimated from {samples.shape[1]} samples at the edge of k-space{EDGE_CAVEAT}.",)
    deviation = covariance.diagonal().real.clamp(min=0).sqrt()
    alive = deviation > DEAD_CHANNEL * deviation.max()
    if not bool(alive.any()):
        deviation, source = _assumed_deviation(scan), "assumed white"
        covariance, alive = torch.diag(deviation.square()).to(torch.complex128), torch.ones_like(alive)
        notes = (f"there is no noise in the data: white noise of {ASSUMED_NOISE:g} of the largest sample was assumed.",)
    elif not bool(alive.all()):
        dead = torch.nonzero(~alive)[:, 0].tolist()
        notes += (f"channel(s) {dead} hold no noise at all ({source}): taken as dead and left out.",)
    matrix = torch.zeros(int(alive.sum()), scan.n_coils, dtype=torch.complex64)
    matrix[:, alive] = torch.linalg.inv(torch.linalg.cholesky(covariance[alive][:, alive])).to(torch.complex64)
    correlation = covariance.abs() / torch.outer(deviation, deviation).clamp(min=1e-300)
    off_diagonal = correlation - torch.diag(correlation.diagonal())
    report = NoiseReport(
        source=source,
        n_samples=samples.shape[1],
        standard_deviation=tuple(deviation.tolist()),
        largest_correlation=float(off_diagonal.max()),
    )
    return Whitening(matrix, report), notes


def prewhiten(scan: RawScan, whitening: Whitening) -> RawScan:
    """Apply L⁻¹ along the coil axis of imaging and calibration data: noise then has unit variance per sample and channel.

    Lines averaged from n readouts keep variance 1 / n; the encoding operator weighs them accordingly.
    """
    calibration = scan.calibration
    if calibration is not None:
        calibration = replace(calibration, kspace=mix_coils(whitening.matrix, calibration.kspace))
    return replace(scan, kspace=mix_coils(whitening.matrix, scan.kspace), calibration=calibration)


def mix_coils(matrix: Tensor, kspace: Tensor) -> Tensor:
    """Replace the channels of `kspace (slice, coil, ...)` by linear combinations, `matrix (new coil, coil)`."""
    mixed = torch.matmul(matrix.to(kspace.device), kspace.flatten(2))
    return mixed.reshape(kspace.shape[0], matrix.shape[0], *kspace.shape[2:])


def _covariance(samples: Tensor) -> Tensor:
    """Covariance of `samples (coil, sample)`, complex128; noise has no mean."""
    samples = samples.to(torch.complex128)
    n_coils, n_samples = samples.shape
    covariance = samples @ samples.mH / n_samples
    shrinkage = min(1.0, n_coils / n_samples) if n_samples < SHRINKAGE_SAMPLES_PER_COIL * n_coils else 0.0
    diagonal = torch.diag(covariance.diagonal())
    return (1 - shrinkage) * covariance + shrinkage * diagonal


def _robust_covariance(samples: Tensor) -> Tensor:
    """Covariance of samples of which a minority also hold signal: medians for scale, trimmed samples for correlation.

    |n|² of complex noise is exponentially distributed: its mean is its median over ln 2.
    """
    if samples.shape[1] == 0:
        return torch.zeros(samples.shape[0], samples.shape[0], dtype=torch.complex128)
    scale = (samples.abs().square().median(dim=1).values / torch.log(torch.tensor(2.0))).sqrt()
    if not bool((scale > 0).all()):
        return torch.diag(scale.square()).to(torch.complex128)
    unit = samples / scale[:, None]
    power = unit.abs().square().mean(dim=0)
    quiet = power <= power.median() * 2
    correlation = _covariance(unit[:, quiet])
    deviation = correlation.diagonal().real.sqrt()
    correlation = correlation / torch.outer(deviation, deviation)
    return correlation * torch.outer(scale, scale)


def _assumed_deviation(scan: RawScan) -> Tensor:
    """The same small standard deviation for every channel, (coil,)."""
    largest = float(scan.kspace.abs().max())
    if largest == 0:
        raise RawDataError(
            "k-space is zero everywhere: there is nothing to reconstruct; check how the raw file was written."
        )
    return torch.full((scan.n_coils,), ASSUMED_NOISE * largest, dtype=torch.float64)


def _edge_samples(scan: RawScan) -> Tensor:
    """Samples far from the centre of k-space along the readout and along the phase encodes, (coil, sample).

    Lines averaged from several readouts are scaled back to the noise of a single one.
    """
    first, last = scan.sampled_kx
    n_edge = max(1, int((last - first) * EDGE_FRACTION))
    centre = scan.kspace.shape[-1] // 2
    columns = [*range(first, first + n_edge)] if centre - first >= last - centre - n_edge else []
    columns += [*range(last - n_edge, last)] if last - centre >= centre - first - n_edge else []
    lines = scan.counts.flatten(1)
    samples = []
    for s in range(scan.n_slices):
        kspace = scan.kspace[s].flatten(1, -2)  # (coil, line, kx)
        rows = _outer_lines(lines[s], scan.counts.shape[1:])
        edge = kspace[:, rows][:, :, columns] * lines[s, rows].sqrt()[None, :, None]
        samples.append(edge.flatten(1).cpu())
    edge_samples = torch.cat(samples, dim=1)
    # zero-filled readout ends (vendors interpolate) hold no noise
    return edge_samples[:, edge_samples.abs().sum(dim=0) > 0]


def _outer_lines(counts: Tensor, shape: torch.Size) -> Tensor:
    """Indices of the sampled lines that lie farthest from the k-space centre."""
    axes = [(torch.arange(n) - n // 2).abs() / max(1, n // 2) for n in shape]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).amax(dim=0).flatten()
    sampled = torch.nonzero(counts.cpu() > 0)[:, 0]
    farthest = distance[sampled].argsort(descending=True, stable=True)
    return sampled[farthest[: max(1, int(OUTER_LINES * sampled.numel()))]].to(counts.device)
