"""Coil compression: few virtual coils that see what many real ones saw.

With whitened data and unit-norm sensitivities S, the virtual coils are the leading eigenvectors of the Gram matrix
G = Σ S Sᴴ over the object: no other set of as many channels keeps more of the signal at the same noise. Taken over the
whole slice this is array compression (Buehrer et al. 2007, doi:10.1002/mrm.21237); taken for every readout position by
itself it needs about half as many channels (geometric decomposition, Zhang et al. 2013, doi:10.1002/mrm.24267). Data and
sensitivities go through the same matrices, so neighbouring positions need no alignment.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from knerve.gpu.workers import side_by_side
from knerve.recon.espirit import Sensitivities
from knerve.recon.hybrid import HybridScan
from knerve.recon.settings import Settings

CACHE_BYTES = 1 << 20


def compress_coils(
    scan: HybridScan, sensitivities: Sensitivities, settings: Settings
) -> tuple[HybridScan, Sensitivities]:
    """Replace the coils of data and sensitivities by `settings.virtual_coils`, or as many as keep the retained energy."""
    matrix = compression_matrix(sensitivities, settings)
    if matrix is None:
        return scan, sensitivities
    return compressed_data(scan, matrix), compressed_maps(sensitivities, matrix)


def compression_matrix(sensitivities: Sensitivities, settings: Settings) -> Tensor | None:
    """What makes virtual coils of coils, (slice, x or 1, virtual coil, coil); None where the settings want none."""
    if settings.compression == "none":
        return None
    gram = _gram(sensitivities.maps)  # (slice, x, coil, coil)
    if settings.compression == "svd":
        gram = gram.sum(1, keepdim=True)
    energy, vectors = _eigenvectors(gram)
    n_coils = energy.shape[-1]
    if settings.virtual_coils is not None:
        kept = torch.full((energy.shape[0],), min(settings.virtual_coils, n_coils))
    else:
        kept = coils_to_keep(energy, settings.retained_energy)
    n_virtual = int(kept.max())
    # a slice that needs fewer than its neighbours in the batch gets zeros: its image must not depend on them
    used = torch.arange(n_virtual, 0, -1) <= kept[:, None]
    return vectors[..., -n_virtual:].mH * used[:, None, :, None].to(vectors.device)


def compressed_data(scan: HybridScan, matrix: Tensor) -> HybridScan:
    """Data of the virtual coils that `compression_matrix` makes."""
    of_coils = scan.kspace.flatten(3)
    lines = torch.nonzero(scan.mask.flatten(1).any(0))[:, 0]  # the others hold nothing
    kspace = of_coils.new_zeros(*of_coils.shape[:2], matrix.shape[2], of_coils.shape[3])
    kspace.index_copy_(3, lines, matrix @ of_coils.index_select(3, lines))
    return replace(scan, kspace=kspace.unflatten(-1, scan.kspace.shape[3:]))


def compressed_maps(sensitivities: Sensitivities, matrix: Tensor) -> Sensitivities:
    """Sensitivities of the virtual coils that `compression_matrix` makes."""
    maps = matrix.unsqueeze(2) @ sensitivities.maps.flatten(4)
    return replace(sensitivities, maps=maps.unflatten(-1, sensitivities.maps.shape[4:]))


def coils_to_keep(energy: Tensor, retained: float) -> Tensor:
    """Smallest numbers of virtual coils that keep the fraction `retained` of each slice's energy.

    Args:
        energy: (slice, column, coil), ascending along the coils.
        retained: 0 to 1.

    Returns:
        (slice,) int64 on the CPU.
    """
    kept = energy.clamp(min=0).sum(1).flip(-1).cumsum(-1)
    return ((kept < retained * kept[:, -1:]).sum(-1) + 1).clamp(max=energy.shape[-1]).cpu()


def _eigenvectors(gram: Tensor) -> tuple[Tensor, Tensor]:
    """`torch.linalg.eigh` of many small matrices, on all cores: on a CPU it takes them one by one."""
    if gram.is_cuda:
        return torch.linalg.eigh(gram)
    flat, n_threads = gram.flatten(0, 1), torch.get_num_threads()
    parts = side_by_side(torch.linalg.eigh, flat.chunk(n_threads), n_threads)
    energy, vectors = (torch.cat(part).unflatten(0, gram.shape[:2]) for part in zip(*parts, strict=True))
    return energy, vectors


def _gram(maps: Tensor) -> Tensor:
    """Σ over sets and pixels of S Sᴴ for every column: (slice, x, coil, coil) from (slice, x, set, coil, [z,] y)."""
    flat = maps.flatten(4).movedim(2, 3).flatten(3)  # (slice, x, coil, set·y)
    columns = flat.flatten(0, 1)
    # piece by piece: the conjugate is a copy, which so stays in the processor's cache
    at_once = len(columns) if columns.is_cuda else max(1, CACHE_BYTES // (8 * columns[0].numel()))
    pieces = columns.split(at_once)
    return torch.cat([piece @ piece.mH for piece in pieces]).unflatten(0, flat.shape[:2])
