"""The network as a plain denoiser: nearer to the truth, within the bound, and clear about what it cannot take."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from knerve.recon.errors import SettingsError
from knerve.recon.learned.denoising import Denoised, denoised, residual_correlation
from knerve.recon.learned.network import Architecture
from knerve.recon.learned.trust import BOUND
from knerve.recon.learned.unrolled import Unrolled
from knerve.recon.learned.weights import packaged_model
from knerve.recon.settings import Settings

SETTINGS = Settings()
N_Y, N_X = 144, 130


def truth() -> Tensor:
    """Flat shapes and stripes with a smooth phase, (y, x)."""
    y, x = torch.linspace(-1, 1, N_Y)[:, None], torch.linspace(-1, 1, N_X)[None]
    image = (
        20.0 * (y**2 + x**2 < 0.8)
        + 8.0 * ((y - 0.2) ** 2 + x**2 < 0.1)
        - 6.0 * ((x + 0.3).abs() < 0.03) * (y.abs() < 0.5)
    )
    return torch.polar(image.clamp(min=0), 0.8 * x + 0.2 * y)


def noise_map() -> Tensor:
    """Rises from 2 to 4."""
    return torch.linspace(2, 4, N_Y)[:, None].expand(N_Y, N_X).contiguous()


def noisy() -> Tensor:
    white = torch.randn(N_Y, N_X, dtype=torch.complex64, generator=torch.Generator().manual_seed(7))
    return truth() + 2**0.5 * noise_map() * white


def error(image: Tensor) -> float:
    return float((image - truth()).abs().square().mean().sqrt() / truth().abs().square().mean().sqrt())


@pytest.fixture(scope="module")
def result() -> Denoised:
    if packaged_model() is None:
        pytest.skip("this installation comes without trained weights")
    return denoised(noisy(), noise_map(), SETTINGS)


def test_it_comes_nearer_to_the_truth(result: Denoised) -> None:
    assert result.unused is None
    assert error(result.image) < 0.6 * error(noisy())


def test_a_magnitude_image_is_helped_as_much_as_a_complex_one(result: Denoised) -> None:
    magnitude = noisy().abs().to(torch.complex64)
    once, again = (denoised(magnitude, noise_map(), SETTINGS) for _ in range(2))
    assert torch.equal(once.image, again.image)
    assert not bool(once.image.imag.any())
    inside = truth().abs() > 5  # where noise does not raise the magnitude
    found, of_complex = (
        float((each.abs() - truth().abs())[inside].square().mean()) for each in (once.image, result.image)
    )
    assert found < 1.2 * of_complex


def test_no_pixel_leaves_the_bound_and_what_moved_is_told(result: Denoised) -> None:
    moved = (result.image - noisy()).abs() / noise_map()
    assert float(moved.max()) <= BOUND * 1.001
    torch.testing.assert_close(result.moved, moved, rtol=1e-3, atol=1e-3)
    assert bool((result.moved[result.at_bound] > 0.999 * BOUND).all())


def test_units_do_not_matter(result: Denoised) -> None:
    scaled = denoised(1e-4 * noisy(), 1e-4 * noise_map(), SETTINGS)
    torch.testing.assert_close(1e4 * scaled.image, result.image, rtol=0, atol=0.1)  # of noise from 2 to 4


def test_a_wild_network_is_held_at_the_bound() -> None:
    model = Unrolled(Architecture(widths=(4, 6, 8))).requires_grad_(False)
    torch.nn.init.normal_(model.networks[0].tail.weight, std=3.0, generator=torch.Generator().manual_seed(1))
    found = denoised(noisy(), noise_map(), SETTINGS, model)
    assert float(found.at_bound.float().mean()) > 0.1
    assert float(((found.image - noisy()).abs() / noise_map()).max()) <= BOUND * 1.001


def test_pixels_without_noise_stay() -> None:
    noise = noise_map().clone()
    noise[:20] = 0
    found = denoised(noisy(), noise, SETTINGS)
    assert torch.equal(found.image[:20], noisy()[:20])
    assert float(found.moved[:20].max()) == 0


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (20 * torch.ones(64, 130, dtype=torch.complex64), "images of at least 96 pixels"),
        (0.1 * torch.ones(130, 130, dtype=torch.complex64), "at signals of 2 to 400 times the noise"),
    ],
)
def test_what_it_does_not_know_is_left_to_wavelets(image: Tensor, words: str) -> None:
    found = denoised(image, torch.ones(image.shape), SETTINGS)
    assert found.unused is not None
    assert words in found.unused or "without trained weights" in found.unused


def test_residuals_tell_noise_from_structure() -> None:
    white = torch.randn(N_Y, N_X, dtype=torch.complex64, generator=torch.Generator().manual_seed(9))
    assert abs(residual_correlation(noisy(), noisy() - white, noise_map())) < 0.02
    smooth = 5 * torch.nn.functional.avg_pool2d(white.real[None], 3, 1, 1)[0]
    assert residual_correlation(noisy(), noisy() - smooth, noise_map()) == pytest.approx(2 / 3, abs=0.05)


def with_value(values: Tensor, value: float) -> Tensor:
    changed = values.clone()
    changed[3, 4] = value
    return changed


@pytest.mark.parametrize(
    ("image", "noise", "words"),
    [
        (noisy(), noise_map()[:-1], r"shape \(144, 130\) and its noise map \(143, 130\)"),
        (noisy()[None], noise_map()[None], "expected one shape"),
        (with_value(noisy(), torch.nan), noise_map(), "the image holds 1 values that are not finite"),
        (noisy(), with_value(noise_map(), torch.inf), "the noise map holds 1 values that are not finite"),
        (noisy(), with_value(noise_map(), -1.0), "negative values, down to -1"),
        (noisy(), 0 * noise_map(), "0 everywhere: nothing can be denoised"),
    ],
)
def test_what_cannot_be_denoised(image: Tensor, noise: Tensor, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        denoised(image, noise, SETTINGS)
