"""How many slices go to a GPU at once."""

import pytest
import torch

from knerve.recon import pipeline
from knerve.recon.scan import Frame, Grid, RawScan
from knerve.recon.settings import Settings

GPU = torch.device("cuda")  # it is only named


def planning_scan(n_slices=54, n_coils=16):
    """The shape of the planning scan; its zeros take no memory."""
    kspace = torch.zeros((), dtype=torch.complex64).expand(n_slices, n_coils, 968, 1104)
    counts = torch.ones(n_slices, 968, dtype=torch.int32)
    grid = Grid((1104, 968, 1), (320.0, 320.0, 3.0), (552, 484, 1), (160.0, 160.0, 3.0))
    return RawScan(kspace, counts, tuple(Frame(slice=s) for s in range(n_slices)), grid, (0, 1104))


@pytest.mark.parametrize(("free_gib", "at_once"), [(0.1, 1), (6, 2), (24, 11), (139, 54)])
def test_a_batch_and_its_working_copies_fit_into_what_is_free(monkeypatch, free_gib, at_once):
    monkeypatch.setattr(pipeline, "free_memory_bytes", lambda _: int(free_gib * 2**30))
    scan = planning_scan()
    size = pipeline.slices_per_batch(scan, Settings(), GPU)
    assert min(size, scan.n_slices) == at_once
    slice_bytes = scan.kspace[0].numel() * 8
    assert size == 1 or size * slice_bytes * pipeline.WORKING_COPIES <= free_gib * 2**30
