"""Image quality against scikit-image's values, analytic cases and simulated observers of known skill."""

import numpy as np
import pytest

from knerve.recon.fourier_ring import resolved, ring_correlation
from knerve.recon.local_quality import conspicuity, local_gains, median_and_worst, recovery
from knerve.recon.quality import fitted, hfen, nrmse, ripple, ssim
from knerve.recon.recognition import (
    alarm_threshold,
    cho_detectability,
    hallucination_rate,
    laguerre_gauss_channels,
    matched_filter,
    npw_detectability,
    percent_correct,
)

Y, X = np.mgrid[:64, :48].astype(np.float32)
TRUTH = (100 + 30 * np.sin(X / 4) * np.cos(Y / 5)).astype(np.float32)
INSIDE = np.ones(TRUTH.shape, bool)


def noisy(seed: int, spread: float = 8.0) -> np.ndarray:
    return (TRUTH + spread * np.random.default_rng(seed).normal(size=TRUTH.shape)).astype(np.float32)


def blob(shape: tuple[int, int], row: float, column: float, sigma: float) -> np.ndarray:
    y, x = np.indices(shape)
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))


def test_ssim_and_nrmse_are_those_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="the oracle, scikit-image, is not installed")
    image = noisy(1)
    _, similarity = metrics.structural_similarity(
        TRUTH, image, data_range=60.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert ssim(image, TRUTH, INSIDE, data_range=60.0) == pytest.approx(similarity.mean(), abs=2e-4)
    assert nrmse(image, TRUTH, INSIDE) == pytest.approx(metrics.normalized_root_mse(TRUTH, image), rel=1e-5)


def test_nrmse_and_fit_of_a_scaled_image() -> None:
    assert nrmse(1.1 * TRUTH, TRUTH, INSIDE) == pytest.approx(0.1, rel=1e-4)
    np.testing.assert_allclose(fitted(7 * TRUTH, TRUTH, INSIDE), TRUTH, rtol=1e-5)
    half = INSIDE.copy()
    half[:, 24:] = False
    spoiled = TRUTH.copy()
    spoiled[:, 24:] = 0
    assert nrmse(spoiled, TRUTH, half) == 0
    assert ssim(TRUTH, TRUTH, INSIDE) == pytest.approx(1.0)


def test_hfen_sees_fine_errors_only() -> None:
    wave = np.cos(2 * np.pi * X / 6).astype(np.float32)
    assert hfen(2 * wave, wave, INSIDE) == pytest.approx(1.0, rel=1e-3)
    middle = INSIDE.copy()
    middle[:8], middle[-8:], middle[:, :8], middle[:, -8:] = False, False, False, False
    slow = TRUTH + 20 + 0.1 * Y
    assert hfen(slow, TRUTH, middle) < 5e-3 < 0.1 < nrmse(slow, TRUTH, middle)
    filtered = (2 * np.pi / 6) ** 2 * np.exp(-((2 * np.pi / 6) ** 2) * 1.5**2 / 2) / np.sqrt(2)
    coarse = np.cos(2 * np.pi * Y / 8).astype(np.float32)
    of_truth = (2 * np.pi / 8) ** 2 * np.exp(-((2 * np.pi / 8) ** 2) * 1.5**2 / 2) / np.sqrt(2)
    inner = INSIDE.copy()
    inner[:8], inner[-8:], inner[:, :6], inner[:, -6:] = False, False, False, False
    assert hfen(coarse + wave, coarse, inner) == pytest.approx(filtered / of_truth, rel=0.02)


def test_ripple_of_known_size() -> None:
    y, x = np.mgrid[:120, :120]
    shading = 1 + 0.2 * (x / 120) ** 2 - 0.3 * (y / 120) ** 3
    bottle = 1000 * shading + 10 * np.sqrt(2) * np.cos(2 * np.pi * x / 20)
    inside = np.hypot(y - 60, x - 60) < 50
    left_by_blur = np.exp(-((2 * np.pi / 20) ** 2) / 2)
    expected = 10 * left_by_blur / bottle[inside].mean()
    assert ripple(bottle, inside) == pytest.approx(expected, rel=0.05)
    assert ripple(1000 * shading, inside) < 1e-6
    with pytest.raises(ValueError, match="a shading of 15 terms needs at least 60"):
        ripple(bottle, np.hypot(y - 60, x - 60) < 2)


def test_shapes_and_masks_are_checked() -> None:
    with pytest.raises(ValueError, match="expected one shape"):
        nrmse(TRUTH[:10], TRUTH, INSIDE)
    with pytest.raises(ValueError, match="no pixel is inside"):
        ssim(TRUTH, TRUTH, ~INSIDE)


@pytest.mark.parametrize("kept", [1.0, 0.4, -0.2])
def test_contrast_recovery_of_a_fading_nerve(kept: float) -> None:
    nerve = blob((64, 48), 30, 20, 1.5)
    found = recovery(100 + kept * 20 * nerve, 100 + 20 * nerve, (30, 20), 3.5)
    assert found.contrast == pytest.approx(kept, abs=1e-9)
    assert found.correlation == pytest.approx(np.sign(kept))
    assert median_and_worst([0.9, 0.2, 0.8]) == (0.8, 0.2)
    with pytest.raises(ValueError, match="no contrast at row 30"):
        recovery(nerve, np.full((64, 48), 5.0), (30, 20), 3.5)


def test_local_gains_of_blurred_and_lost_spots() -> None:
    places = [(16, 16), (40, 30)]
    spots = sum(blob((64, 48), *place, 0.85) for place in places)
    after = TRUTH + 0.7 * blob((64, 48), 16, 16, 0.85)
    np.testing.assert_allclose(local_gains(TRUTH, after, spots, places), [0.7, 0.0], atol=1e-6)


def test_conspicuity_uses_the_noise_over_draws() -> None:
    structure = np.hypot(Y - 32, X - 24) < 3
    ring = (np.hypot(Y - 32, X - 24) > 5) & (np.hypot(Y - 32, X - 24) < 9)
    noise = np.random.default_rng(0).normal(scale=2.0, size=(400, 64, 48))
    images = TRUTH * 0 + 6.0 * structure + np.where(X > 24, 50, -50) * (ring * 0) + noise
    assert conspicuity(images, structure, ring) == pytest.approx(3.0, rel=0.03)
    with pytest.raises(ValueError, match="needs at least 2"):
        conspicuity(images[:1], structure, ring)


def test_npw_of_white_noise_is_the_ideal_observer() -> None:
    signal = 0.6 * blob((21, 21), 10, 10, 2.0)
    random = np.random.default_rng(3)
    absent, present = random.normal(size=(2, 4000, 21, 21)) + np.array([0, 1])[:, None, None, None] * signal
    assert npw_detectability(present, absent, signal) == pytest.approx(np.linalg.norm(signal), rel=0.05)


def test_cho_is_unbiased_with_few_draws() -> None:
    channels = laguerre_gauss_channels((61, 61), 12.0)
    gram = channels.reshape(5, -1) @ channels.reshape(5, -1).T
    np.testing.assert_allclose(gram, np.eye(5), atol=2e-3)
    signal = 0.5 * blob((61, 61), 30, 30, 2.0)
    response = channels.reshape(5, -1) @ signal.ravel()
    ideal = response @ np.linalg.solve(gram, response)
    random = np.random.default_rng(4)
    squares = []
    for _ in range(300):
        absent, present = random.normal(size=(2, 16, 61, 61)) + np.array([0, 1])[:, None, None, None] * signal
        squares.append(cho_detectability(present, absent, channels) ** 2)
    assert np.mean(squares) == pytest.approx(ideal, rel=0.12)
    assert percent_correct(0.0) == 0.5
    assert percent_correct(np.sqrt(2)) == pytest.approx(0.8413, abs=1e-4)
    with pytest.raises(ValueError, match="at least 6"):
        cho_detectability(present[:4], absent[:4], channels)


def test_hallucinations_are_counted_against_the_reference() -> None:
    random = np.random.default_rng(5)
    signal = blob((9, 9), 4, 4, 1.5)
    reference = matched_filter(random.normal(size=(200, 200)), signal)
    inside = np.zeros((200, 200), bool)
    inside[10:-10, 10:-10] = True
    threshold = alarm_threshold(reference, inside)
    assert hallucination_rate(reference, inside, threshold) == pytest.approx(0.05, abs=1e-3)
    twice = matched_filter(2 * random.normal(size=(200, 200)), signal)
    assert 0.25 < hallucination_rate(twice, inside, threshold) < 0.40  # P(|z| > 0.98) = 0.327
    alone = np.zeros((40, 40))
    alone[16:25, 11:20] = 3 * signal
    response = matched_filter(alone, signal)
    assert np.unravel_index(response.argmax(), response.shape) == (20, 15)
    assert response[20, 15] == pytest.approx(3.0)


def test_ring_correlation_finds_the_resolution_of_each_direction() -> None:
    random = np.random.default_rng(6)
    scene = np.fft.fft2(random.normal(size=(256, 256)))
    frequency_y, frequency_x = np.meshgrid(np.fft.fftfreq(256, 0.3), np.fft.fftfreq(256, 0.4), indexing="ij")
    shared = np.fft.ifft2(scene * (np.abs(frequency_y) < 0.8) * (np.abs(frequency_x) < 0.5)).real
    first, second = (shared + 0.02 * random.normal(size=(256, 256)) for _ in range(2))
    assert resolved(*ring_correlation(first, second, (0.3, 0.4), "y")) == pytest.approx(0.85, abs=0.1)
    assert resolved(*ring_correlation(first, second, (0.3, 0.4), "x")) == pytest.approx(0.53, abs=0.1)
    frequency, correlation = ring_correlation(first, first, (0.3, 0.4))
    assert resolved(frequency, correlation) == frequency[-1]
    assert correlation == pytest.approx(1.0)
    assert resolved(*ring_correlation(*random.normal(size=(2, 256, 256)), (0.3, 0.4))) == 0.0
    with pytest.raises(ValueError, match="expected one shape"):
        ring_correlation(first, second[1:], (0.3, 0.4))
