"""Simulates a case and whitens it once for all methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knerve.bench.case_files import RAW, CaseFiles
from knerve.bench.cases import Case
from knerve.bench.source import Truth, simulate
from knerve.datasets.reading import read_raw
from knerve.gpu.fourier import to_kspace
from knerve.recon.noise import estimate_whitening, prewhiten
from knerve.recon.readout import to_hybrid_space
from knerve.recon.scan import RawScan


def prepare(case: Case, folder: Path) -> tuple[CaseFiles, Truth]:
    """Simulate a case and write what the methods start from into `folder`.

    Raises:
        OutputError: the raw file cannot be written.
        OSError: the disk is full or cannot be written.
    """
    truth = simulate(case, folder / RAW)
    files = CaseFiles(folder, case)
    files.write(whitened(read_raw(files.raw)))
    return files, truth


def whitened(scan: RawScan) -> NDArray[np.complex64]:
    """k-space (coil, ky, kx) of the first slice, whitened as knerve whitens it, with the readout's oversampling dropped."""
    whitening, _ = estimate_whitening(scan)
    hybrid = to_hybrid_space(prewhiten(scan.select(range(1)), whitening), None).kspace[0]  # (x, coil, ky)
    samples: NDArray[np.complex64] = to_kspace(hybrid, dims=(0,)).permute(1, 2, 0).contiguous().numpy()
    return samples
