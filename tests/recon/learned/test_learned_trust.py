from __future__ import annotations

import pytest
import torch

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.hybrid import HybridScan
from knerve.recon.learned.trust import BOUND, DataFit, bounded, complaint, data_fit


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("size", "noise"), [(1e-3, 10.0), (1.0, 0.0), (1.0, 0.5), (30.0, 2.0), (1e4, 1.0), (1e4, 1e3)])
def test_no_pixel_lies_farther_than_the_bound(seed: int, size: float, noise: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    image, linear = size * torch.randn(2, 1, 9, 11, dtype=torch.complex64, generator=generator)
    level = noise * torch.rand(9, 11, generator=generator)
    result, clipped = bounded(image, linear, level)
    distance = (result - linear).abs()
    assert bool((distance <= BOUND * level / 2**0.5 * (1 + 1e-4) + 1e-4 * size).all())
    assert torch.equal(result[~clipped], image[~clipped])
    # what is held back moves straight towards the linear solution
    assert bool((result - image).abs().add(distance).sub((image - linear).abs()).abs().max() <= 1e-3 * size + 1e-3)


def scan_of(image: torch.Tensor, n_coils: int, added_lines: int = 0) -> tuple[CartesianEncoding, HybridScan]:
    generator = torch.Generator().manual_seed(8)
    shape = (*image.shape[:2], 1, n_coils, image.shape[-1])
    maps = torch.randn(shape, generator=generator, dtype=torch.complex64)
    maps = maps / maps.abs().square().sum(3, keepdim=True).sqrt()
    counts = (torch.rand(1, image.shape[-1], generator=generator) < 0.4).int()
    encoding = CartesianEncoding(maps, counts, added_lines=added_lines)
    noise = torch.randn(encoding.kspace_shape, generator=generator, dtype=torch.complex64)
    kspace = encoding.forward(image) + noise * (counts[:, None, None] > 0)
    return encoding, HybridScan(kspace, counts, None, (1, 1, 1), added_lines)


@pytest.mark.parametrize("n_coils", [4, 32])
@pytest.mark.parametrize("n_y", [80, 81])
def test_the_truth_fits_its_data(n_coils: int, n_y: int) -> None:
    truth = 20 * torch.randn(1, 96, 1, n_y, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    encoding, scan = scan_of(truth, n_coils)
    (fit,) = data_fit(encoding, scan, truth)
    assert abs(fit.overall - 1) < 0.05
    assert fit.largest_line < 1.3
    (worse,) = data_fit(encoding, scan, 1.2 * truth)
    assert worse.overall > 1.3


def test_padding_counts_for_nothing() -> None:
    truth = torch.zeros(1, 96, 1, 80, dtype=torch.complex64)
    encoding, scan = scan_of(truth, 4, added_lines=10)
    spoilt = scan.kspace.clone()
    spoilt[..., :5] = 1e6
    spoilt[..., -5:] = 1e6
    (fit,) = data_fit(encoding, HybridScan(spoilt, scan.counts, None, (1, 1, 1), 10), truth)
    assert abs(fit.overall - 1) < 0.1


@pytest.mark.parametrize(
    ("learned", "classical", "words"),
    [
        (DataFit(0.97, 1.1), DataFit(0.9, 1.1), None),
        (DataFit(0.7, 1.1), DataFit(0.95, 1.1), "follows the noise"),
        (DataFit(1.3, 1.1), DataFit(0.95, 1.1), "contradicts the data"),
        (DataFit(1.0, 1.6), DataFit(0.95, 1.1), "contradicts a line"),
        (DataFit(1.5, 9.0), DataFit(1.5, 9.0), None),  # sensitivities that spoil both
    ],
)
def test_what_the_gates_say(learned: DataFit, classical: DataFit, words: str | None) -> None:
    text = complaint(learned, classical)
    assert text is None if words is None else text is not None and words in text
