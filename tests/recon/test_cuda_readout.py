"""The readout's transform of many slices at once equals that of `readout.py`."""

from dataclasses import replace

import pytest
import torch

from knerve.recon import cuda_readout
from knerve.recon.cuda_readout import fill_columns
from knerve.recon.readout import to_hybrid_space


@pytest.mark.parametrize(("oversampling", "n_x"), [(2, 40), (1, 41), (3, 39)])
@pytest.mark.parametrize("are_alike", [True, False])
def test_equals_the_transform_coil_by_coil(make_scan, randn, monkeypatch, oversampling, n_x, are_alike):
    counts = torch.randint(0, 2, (3, 32), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    counts = counts[:1].repeat(3, 1) if are_alike else counts
    scan = make_scan(n_slices=3, n_coils=5, n_y=32, n_x=n_x, oversampling=oversampling).scan
    scan = replace(scan, counts=counts, kspace=scan.kspace * (counts > 0)[:, None, :, None])
    for mixing in (None, randn((4, 5))):
        expected = to_hybrid_space(scan, None, mixing).kspace
        found = torch.zeros_like(expected)
        fill_columns(found, scan, mixing)
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
        monkeypatch.setattr(cuda_readout, "AT_ONCE_BYTES", 1)  # slice by slice
        found = torch.zeros_like(expected)
        fill_columns(found, scan, mixing)
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
