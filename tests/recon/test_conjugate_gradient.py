"""Conjugate gradients solve small systems exactly, each slice by itself."""

import torch

from knerve.recon.conjugate_gradient import conjugate_gradient


def test_solves_every_slice_of_a_batch(randn):
    factors = randn((3, 12, 12))
    matrices = factors @ factors.mH + 0.5 * torch.eye(12)
    expected = randn((3, 12))
    right_side = (matrices @ expected[..., None])[..., 0]
    found = conjugate_gradient(
        lambda x: (matrices @ x[..., None])[..., 0], right_side, tolerance=1e-6, max_iterations=200
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_zero_right_side_gives_zero(randn):
    matrix = randn((8, 8))
    matrix = matrix @ matrix.mH
    zero = torch.zeros(2, 8, dtype=torch.complex64)
    found = conjugate_gradient(lambda x: x @ matrix.T, zero, tolerance=1e-6, max_iterations=10)
    assert not bool(found.abs().any())


def test_tolerance_stops_early(randn):
    factors = randn((1, 30, 30))
    matrix = factors @ factors.mH + torch.eye(30)
    calls = []

    def operator(x):
        calls.append(1)
        return (matrix @ x[..., None])[..., 0]

    conjugate_gradient(operator, randn((1, 30)), tolerance=0.1, max_iterations=1000)
    assert len(calls) < 60
