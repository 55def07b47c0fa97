"""The way to hybrid space: the same as the plain transform, the oversampling gone, whitened on the way if asked to."""

from dataclasses import replace

import pytest
import torch

from knerve.gpu.fourier import resize_centred, to_image
from knerve.recon.noise import estimate_whitening, mix_coils, prewhiten
from knerve.recon.readout import _columns, to_hybrid_space


@pytest.mark.parametrize(("n", "n_columns"), [(16, 16), (16, 8), (16, 7), (15, 15), (15, 8), (15, 7), (16, 1)])
def test_columns_equal_the_centred_transform(n, n_columns, randn):
    kspace = randn((3, 6, n))
    lines = torch.tensor([0, 2, 5])
    expected = resize_centred(to_image(kspace, (-1,)), -1, n_columns)[:, lines].permute(2, 0, 1)
    torch.testing.assert_close(_columns(kspace, lines, n_columns), expected, atol=1e-6, rtol=1e-5)


def test_only_sampled_lines_are_filled(make_scan, line_mask):
    scan = make_scan(n_slices=2, counts=line_mask(96, 3, 20), oversampling=2).scan
    hybrid = to_hybrid_space(scan, None)
    expected = resize_centred(to_image(scan.kspace, (-1,)), -1, 80).movedim(-1, 1)
    assert hybrid.kspace.shape == (2, 80, 8, 96)
    torch.testing.assert_close(hybrid.kspace, expected, atol=1e-5, rtol=1e-5)
    assert not bool(hybrid.kspace[..., scan.counts[0] == 0].any())


def test_coils_are_mixed_on_the_way(make_scan, line_mask, randn):
    scan = make_scan(n_slices=2, counts=line_mask(96, 2, 20), oversampling=2).scan
    scan = replace(scan, kspace=mix_coils(randn((8, 8)), scan.kspace), noise=None)
    whitening, _ = estimate_whitening(scan)
    first = to_hybrid_space(prewhiten(scan, whitening), None)
    on_the_way = to_hybrid_space(scan, None, whitening.matrix)
    torch.testing.assert_close(on_the_way.kspace, first.kspace, atol=1e-4, rtol=1e-4)
    fewer = to_hybrid_space(scan, None, whitening.matrix[:5])
    torch.testing.assert_close(fewer.kspace, first.kspace[:, :, :5], atol=1e-4, rtol=1e-4)


def test_partitions_and_slices_without_any_line(randn, make_scan):
    kspace = randn((2, 3, 4, 6, 10))
    counts = torch.zeros(2, 4, 6, dtype=torch.int32)
    counts[0, 1:, ::2] = 2
    scan = make_scan(n_slices=2, n_y=6, n_x=10).scan
    scan = replace(scan, kspace=kspace * (counts > 0)[:, None, ..., None], counts=counts)
    hybrid = to_hybrid_space(scan, None)
    torch.testing.assert_close(hybrid.kspace, to_image(scan.kspace, (-1,)).movedim(-1, 1), atol=1e-5, rtol=1e-5)
    assert not bool(hybrid.kspace[1].any())
