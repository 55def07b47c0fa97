"""Power iteration side by side, against a full decomposition of every matrix and against its plain twin."""

import pytest
import torch

from knerve.gpu.lanes import LANES
from knerve.gpu.leading_eigenvectors import leading_eigenvectors, leading_eigenvectors_plain


def matrices(n_coils, n_rows, n_places, seed=0):
    """Hermitian matrices (row, place, coil, coil) with eigenvalues 1, 1/2, 1/4, ..."""
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(n_rows, n_places, n_coils, n_coils, generator=generator, dtype=torch.complex64)
    basis = torch.linalg.qr(random)[0]
    return (basis * 2.0 ** -torch.arange(n_coils)) @ basis.mH


def as_planes(q):
    return torch.view_as_real(q).permute(0, 2, 3, 4, 1).contiguous()


@pytest.mark.parametrize("n_coils", [2, 7, 16, 18])
def test_equals_the_full_decomposition(n_coils):
    q = matrices(n_coils, 3, 2 * LANES)
    vectors, values = leading_eigenvectors(as_planes(q), (0.0, 0.0))
    exact_values, exact_vectors = torch.linalg.eigh(q)
    torch.testing.assert_close(values, exact_values[..., -2:].flip(-1), atol=2e-6, rtol=0)
    overlap = (vectors.conj() * exact_vectors[..., -2:].flip(-1)).sum(-2).abs()
    assert float(overlap.min()) > 1 - 2e-6


def test_equals_the_plain_version_in_phase_too():
    planes = as_planes(matrices(8, 2, LANES))
    vectors, values = leading_eigenvectors(planes, (0.0, 0.0))
    plain_vectors, plain_values = leading_eigenvectors_plain(planes, 2)
    torch.testing.assert_close(vectors, plain_vectors, atol=2e-5, rtol=0)
    torch.testing.assert_close(values, plain_values, atol=2e-6, rtol=0)


def test_what_is_negligible_is_bounded_and_left_out():
    q = matrices(8, 2, 3 * LANES)
    q[0, :LANES] *= 0.3  # one block of sixteen is negligible as a whole, in the next a single matrix is
    q[0, LANES] *= 0.3
    vectors, values = leading_eigenvectors(as_planes(q), (0.5, 0.0))
    exact = torch.linalg.eigvalsh(q)
    assert not bool(vectors[0, :LANES, :, 0].any())
    assert bool((values[0, :LANES, 0] >= exact[0, :LANES, -1]).all())
    assert float(values[0, :LANES, 0].max()) < 0.5
    torch.testing.assert_close(values[0, LANES:, 0], exact[0, LANES:, -1], atol=2e-6, rtol=0)


def test_single_coils_and_empty_matrices():
    vectors, values = leading_eigenvectors(torch.ones(1, 1, 1, 2, LANES) * torch.tensor([0.7, 0.0])[:, None], (0.0,))
    torch.testing.assert_close(values, torch.full((1, LANES, 1), 0.7))
    torch.testing.assert_close(vectors.abs(), torch.ones(1, LANES, 1, 1))
    vectors, values = leading_eigenvectors(torch.zeros(1, 4, 4, 2, LANES), (0.0,))
    assert not bool(values.any())
    assert bool(torch.isfinite(torch.view_as_real(vectors)).all())


def test_does_not_depend_on_the_threads():
    planes = as_planes(matrices(6, 20, 2 * LANES))
    before = torch.get_num_threads()
    found = []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        found.append(leading_eigenvectors(planes, (0.25, 0.6)))
    torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
