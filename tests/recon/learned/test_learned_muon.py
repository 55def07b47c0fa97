from __future__ import annotations

import pytest
import torch

from knerve.recon.learned.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_orthogonal_matrices_have_singular_values_of_about_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)) @ torch.diag(
        torch.linspace(0.2, 3, shape[1])
    )
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert 0.5 < float(values.min()) < float(values.max()) < 1.3
    aligned = torch.linalg.svdvals(matrix).sum()
    torch.testing.assert_close((orthogonal(matrix) * matrix).sum(), aligned, rtol=0.25, atol=0)


def test_kernels_and_gains_reach_a_minimum() -> None:
    generator = torch.Generator().manual_seed(2)
    kernel = torch.nn.Parameter(torch.zeros(4, 5, 3, 3))
    gains = torch.nn.Parameter(torch.ones(5))
    wanted = torch.randn(4, 5, 3, 3, generator=generator)
    optimiser = Muon([kernel, gains])
    losses = []
    for step in range(300):
        optimiser.param_groups[0]["lr"] = 0.3 * (1 - step / 300)
        optimiser.zero_grad()
        loss = (kernel - wanted).square().mean() + (gains - 1.2).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1e-2 * losses[0]


def test_parameters_without_gradient_stay() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    Muon([parameter]).step()
    assert parameter.tolist() == [1, 1, 1]
