"""The fused solver gives the images of the plain one."""

import pytest
import torch

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.fused_iterates import FusedIterates, can_fuse
from knerve.recon.plain_iterates import PlainIterates
from knerve.recon.sparsity import SparsityPrior
from knerve.recon.wavelets import WaveletTransform


def problem(n_slices=2, n_columns=48, n_sets=1, n_coils=4, n=60, penalty=0.0):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(n_slices, n_columns, n_sets, n_coils, n, dtype=torch.complex64, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=3, keepdim=True)
    counts = (torch.rand(n_slices, n, generator=generator) < 0.6).int()
    encoding = CartesianEncoding(maps, counts, penalty)
    right_side = 5 * torch.randn(encoding.image_shape, dtype=torch.complex64, generator=generator)
    return encoding, right_side


def prior_for(encoding, **options):
    wavelet = WaveletTransform.for_image("db2", encoding.image_shape, (-3, -1))
    weight = torch.linspace(0.5, 1.0, encoding.maps.shape[0]).reshape(-1, 1, 1, 1)
    return SparsityPrior(wavelet, (-3, -1), weight, **options)


@pytest.mark.parametrize(("n_sets", "penalty", "variation"), [(1, 0.0, 0), (2, 0.0, 0), (1, 1.0, 0), (2, 0.0, 0.3)])
def test_iterates_equal_the_plain_ones(n_sets, penalty, variation):
    encoding, right_side = problem(n_sets=n_sets, penalty=penalty)
    lipschitz = torch.tensor([1.0, 1.5]).reshape(-1, 1, 1, 1) + penalty
    tv_weight = variation * torch.tensor([1.0, 2.0]).reshape(-1, 1, 1, 1) if variation else None
    plain, fused = (
        kind(encoding, right_side, prior_for(encoding, tv_weight=tv_weight), lipschitz)
        for kind in (PlainIterates, FusedIterates)
    )
    momentum = torch.tensor([0.3, 0.8]).reshape(-1, 1, 1, 1)
    strength = torch.tensor([1.0, 4.0]).reshape(-1, 1, 1, 1)
    for _ in range(2):
        for _ in range(4):
            expected, uphill = (each.advance(momentum, strength, 0.25) for each in (plain, fused))
            assert torch.allclose(uphill, expected, rtol=1e-4)
        expected, mean = plain.take_mean(), fused.take_mean()
        assert (mean - expected).abs().max() < 1e-5 * expected.abs().max()


def test_knows_which_problems_it_can_solve():
    encoding, _ = problem()
    assert can_fuse(encoding, prior_for(encoding))
    assert can_fuse(encoding, prior_for(encoding, tv_weight=torch.ones(2, 1, 1, 1)))
    assert not can_fuse(encoding, prior_for(encoding, shrinkage="soft"))
    seven, _ = problem(n=49)
    assert not can_fuse(seven, prior_for(seven))
