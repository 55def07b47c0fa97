"""Each trust map against a case whose answer is known, and all of them through the whole reconstruction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.errors import SettingsError
from knerve.recon.hybrid import HybridScan
from knerve.recon.learned import method
from knerve.recon.learned.maps import refit as maps_refit
from knerve.recon.learned.maps import uncertainty
from knerve.recon.learned.maps.captions import MAPS, noise_alone
from knerve.recon.learned.maps.deviation import deviation
from knerve.recon.learned.maps.held_out import HeldOut, chosen_lines, held_out_check
from knerve.recon.learned.maps.linear import Linear, linear_of
from knerve.recon.learned.maps.prepared import PreparedSlice, prepared_slices
from knerve.recon.learned.maps.prior_share import UNSEEN, null_space_part, prior_share
from knerve.recon.learned.maps.refit import Pair, Refit, refit_of
from knerve.recon.learned.maps.response import between_spots, full_width, response
from knerve.recon.learned.maps.results import LineFit, TrustMaps
from knerve.recon.learned.maps.trust_maps import trust_maps
from knerve.recon.learned.maps.uncertainty import PRIOR_DOUBT, calibration_factor, error_spread
from knerve.recon.learned.network import Architecture
from knerve.recon.learned.problem import PlainNormal
from knerve.recon.learned.trust import BOUND
from knerve.recon.learned.unrolled import Unrolled
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings

N_X, N_Y = 96, 100
GENERATOR = torch.Generator().manual_seed(0)


@dataclass(frozen=True)
class Fixed:
    """A method in the place of `Refit`: it makes of a right side what `function` says; the reference what `simpler` says."""

    function: object
    simpler: object
    method: str = "cs"

    def image(self, encoding: CartesianEncoding, right_side: Tensor) -> Tensor:
        """The first."""
        return self(encoding, right_side).image

    def __call__(self, _encoding: CartesianEncoding, right_side: Tensor) -> Pair:
        """Both images."""
        return Pair(self.function(right_side), self.simpler(right_side))


def fully_sampled(image: Tensor, noise: float = 0.0, counts: Tensor | None = None) -> PreparedSlice:
    """A slice (x, y) seen by one coil of sensitivity 1: Aᴴ A = 1 where all lines are read."""
    maps = torch.ones(1, N_X, 1, 1, N_Y, dtype=torch.complex64)
    counts = torch.ones(1, N_Y, dtype=torch.int32) if counts is None else counts
    encoding = CartesianEncoding(maps, counts)
    kspace = encoding.forward(image[None, :, None])
    kspace = kspace + noise * torch.randn(
        kspace.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(4)
    )
    hybrid = HybridScan(kspace * (counts > 0), counts, None, (1.0, 1.0, 1.0))
    return PreparedSlice(encoding, hybrid, encoding.adjoint_of_data(hybrid), None)


def bright() -> Tensor:
    return 50 * torch.ones(N_X, N_Y, dtype=torch.complex64)


def linear(image: Tensor) -> Linear:
    normal = PlainNormal(torch.ones(N_X, 1, N_Y, dtype=torch.complex64), torch.ones(N_Y))
    return Linear(image, torch.full((N_X, N_Y), 2.0), normal, torch.tensor(1e-3))


def test_deviation_is_in_noise_and_shows_the_bound() -> None:
    image = bright()
    image[3, 4] += 2.0 * BOUND  # noise is 2
    image[5, 6] += 4.0j
    found = deviation(image, linear(bright()))
    assert float(found.size[3, 4]) == pytest.approx(BOUND, rel=1e-5)
    assert float(found.size[5, 6]) == pytest.approx(2.0, rel=1e-5)
    assert torch.nonzero(found.at_bound).tolist() == [[3, 4]]
    assert float(found.size.sum()) == pytest.approx(BOUND + 2.0, rel=1e-5)


def test_the_prior_fills_what_no_line_sees() -> None:
    """With one flat coil the lines are eigenvectors: an unread line is all prior, a read one λ / (1 + λ) of it."""
    power = torch.ones(N_Y)
    power[N_Y // 2 + 20 :] = 0
    normal = PlainNormal(torch.ones(N_X, 1, N_Y, dtype=torch.complex64), power)
    known = replace(linear(bright()), normal=normal)
    y = torch.arange(N_Y)
    for line, share in ((10, UNSEEN / (1 + UNSEEN)), (30, 1.0)):
        wave = torch.exp(2j * math.pi * line * y / N_Y).to(torch.complex64).expand(N_X, -1).contiguous()
        torch.testing.assert_close(null_space_part(wave, known), share * wave, rtol=1e-4, atol=1e-4)
        found = prior_share(wave, known)
        assert found.energy == pytest.approx(share**2, rel=1e-3)
        assert float(found.size.median()) == pytest.approx(share / 2, rel=1e-3)


@pytest.mark.parametrize(("kept", "plain"), [(1.0, 0.5), (0.3, 1.0)])
def test_response_of_methods_that_keep_a_known_part(kept: float, plain: float) -> None:
    slice_ = fully_sampled(bright())
    pair = Pair(kept * bright()[None, :, None], plain * bright()[None, :, None])
    found = response(slice_, Fixed(lambda x: kept * x, lambda x: plain * x), pair, linear(bright()), seed=0)
    assert found is not None
    assert len(found.gain) > 20
    torch.testing.assert_close(found.gain, torch.full_like(found.gain, kept), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.reference_gain, torch.full_like(found.gain, plain), rtol=1e-3, atol=1e-3)
    assert float(found.width_y.nanmedian()) == pytest.approx(2.0, abs=0.15)
    assert float(found.width_x.nanmedian()) == pytest.approx(2.0, abs=0.15)


def test_response_sees_a_method_that_blurs_along_the_phase_encodes_only() -> None:
    def blurred(image: Tensor) -> Tensor:
        return (image.roll(1, -1) + image + image.roll(-1, -1)) / 3

    slice_ = fully_sampled(bright())
    pair = Pair(blurred(bright()[None, :, None]), bright()[None, :, None])
    found = response(slice_, Fixed(blurred, lambda x: x), pair, linear(bright()), seed=0)
    assert found is not None
    assert float(found.width_y.nanmedian()) > 2.8
    assert float(found.width_x.nanmedian()) < 2.2
    assert float(found.gain.median()) < 0.9


def test_no_response_where_no_spot_fits() -> None:
    slice_ = fully_sampled(bright())
    nowhere = replace(slice_, encoding=replace(slice_.encoding, maps=0 * slice_.encoding.maps))
    pair = Pair(bright()[None, :, None], bright()[None, :, None])
    assert response(nowhere, Fixed(lambda x: x, lambda x: x), pair, linear(bright()), seed=0) is None


def test_widths_of_known_profiles() -> None:
    offsets = torch.arange(-8, 9.0)
    profiles = torch.exp(-0.5 * (offsets / torch.tensor([[0.85], [1.7]])) ** 2)
    torch.testing.assert_close(full_width(profiles), torch.tensor([2.0, 4.0]), atol=0.1, rtol=0)
    assert bool(full_width(0.1 * profiles).isnan().all())  # too low to be measured
    assert bool(full_width(torch.ones(1, 17)).isnan())  # never falls


def test_between_spots_interpolates_and_skips_what_is_not_known() -> None:
    places = torch.tensor([[20, 20], [20, 70], [70, 20], [70, 70], [45, 45]])
    inside = torch.zeros(N_X, N_Y, dtype=torch.bool)
    inside[10:80, 10:80] = True
    shown = between_spots(places, torch.tensor([0.4, 0.4, 0.4, 0.4, math.nan]), inside)
    assert bool((shown[inside] - 0.4).abs().max() < 1e-4)
    assert float(shown[~inside].abs().max()) == 0
    rising = between_spots(places[:4], torch.tensor([0.0, 0.0, 1.0, 1.0]), inside)
    assert float(rising[20, 40]) < 0.1 < 0.9 < float(rising[70, 40])


@pytest.mark.parametrize("n_read", [60, 100])
def test_spread_of_an_identity_is_the_noise(n_read: int) -> None:
    """Fully sampled and unchanged, a bright magnitude carries the noise of one real part: 1 / √2."""
    counts = torch.zeros(1, N_Y, dtype=torch.int32)
    counts[:, N_Y // 2 - n_read // 2 : N_Y // 2 + n_read // 2] = 1
    slice_ = fully_sampled(bright(), counts=counts)
    identity, nothing = Fixed(lambda x: x, lambda x: x), torch.zeros_like(bright())
    spread = error_spread(slice_, identity, bright()[None, :, None], nothing, seed=1)
    assert float(spread.square().mean().sqrt()) == pytest.approx((0.5 * n_read / N_Y) ** 0.5, rel=0.03)
    doubted = error_spread(slice_, identity, bright()[None, :, None], nothing + 20j, seed=1)
    torch.testing.assert_close(doubted, (spread.square() + (PRIOR_DOUBT * 20) ** 2).sqrt(), rtol=1e-3, atol=1e-3)


def test_the_factor_covers_nine_in_ten() -> None:
    generator = torch.Generator().manual_seed(3)
    spread = 0.5 + torch.rand(20_000, generator=generator)
    error = spread * torch.randn(20_000, generator=generator)
    factor = calibration_factor(error, spread)
    assert factor == pytest.approx(1.645, rel=0.03)
    assert float((error.abs() <= factor * spread).float().mean()) == pytest.approx(0.9, abs=0.001)


def test_a_calibration_for_other_weights_is_told(monkeypatch) -> None:
    monkeypatch.setattr(uncertainty, "CALIBRATED_WEIGHTS", uncertainty.installed_weights())
    assert uncertainty.calibration_note("dl") == ()
    monkeypatch.setattr(uncertainty, "CALIBRATED_WEIGHTS", "others")
    assert "calibrated with other weights" in uncertainty.calibration_note("dl")[0]
    assert uncertainty.calibration_note("cs") == ()


def test_held_out_lines_spare_the_centre_and_tell_truth_from_invention() -> None:
    random = torch.randn(N_X, N_Y, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    truth = 30 * random
    counts = ((torch.arange(N_Y) % 2 == 0) | ((torch.arange(N_Y) - 50).abs() < 8)).int()[None]
    slice_ = fully_sampled(truth, noise=1.0, counts=counts)
    lines = chosen_lines(slice_, seed=0)
    assert lines is not None
    assert int(lines.sum()) == round(0.05 * int(counts.sum()))
    assert not bool(lines[42:59].any())
    assert bool((counts[0][lines] > 0).all())
    fewer = slice_.without(lines)
    assert int(fewer.encoding.counts.sum()) == int(counts.sum() - lines.sum())
    assert float(fewer.hybrid.kspace[..., lines].abs().max()) == 0
    knows = truth[None, :, None]
    found = held_out_check(slice_, Fixed(lambda _: knows, torch.zeros_like, "dl"), seed=0)
    assert found is not None
    assert found.error == pytest.approx(found.noise, rel=0.1)
    assert found.reference == pytest.approx(1.0)
    assert found.verdict == "better"
    worse = held_out_check(slice_, Fixed(lambda _: 2 * knows, lambda _: knows), seed=0)
    assert worse is not None
    assert worse.verdict == "worse"


def test_too_few_lines_outside_of_the_centre_are_not_held_out() -> None:
    counts = ((torch.arange(N_Y) - 50).abs() < 8).int()[None]
    assert chosen_lines(fully_sampled(bright(), counts=counts), seed=0) is None


@pytest.mark.parametrize(("error", "verdict"), [(0.2, "better"), (0.2995, "alike"), (0.31, "worse")])
def test_verdicts(error: float, verdict: str) -> None:
    assert HeldOut(4, error, 0.3, 0.1).verdict == verdict


def test_line_gates() -> None:
    chi_square = torch.tensor([0.0, 1.0, 1.0, 0.9, 0.0])
    fit = LineFit(chi_square, chi_square > 0)
    assert fit.passes
    assert fit.overall == pytest.approx(2.9 / 3)
    spoilt = LineFit(torch.tensor([1.0, 1.5, 0.5, 0.9]), torch.ones(4, dtype=torch.bool))
    assert not spoilt.passes
    assert (spoilt.n_beyond, spoilt.largest) == (1, 1.5)


@pytest.fixture
def random_network(monkeypatch):
    """Let the method use a network with random weights of this strength."""
    learned_images = method.learned_images

    def use(strength: float) -> None:
        model = Unrolled(Architecture(widths=(4, 6, 8))).requires_grad_(False)
        torch.nn.init.normal_(model.networks[0].tail.weight, std=strength, generator=torch.Generator().manual_seed(1))
        for module in (method, maps_refit):
            monkeypatch.setattr(module, "learned_images", lambda known: learned_images(known, model))

    return use


@pytest.mark.parametrize("name", ["dl", "cs"])
def test_all_maps_of_a_scan(make_scan, random_lines, random_network, name) -> None:
    random_network(0.01)
    scan = make_scan(n_slices=2, counts=random_lines(121, 3, 18), n_y=121, n_x=100, oversampling=2).scan
    told = []
    found = trust_maps(scan, Settings(method=name, device="cpu"), lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert {each.key for each in found.maps} == set(MAPS)
    for each in found.maps:
        assert each.values.shape == (2, 121, 100)
        assert bool(torch.isfinite(each.values).all())
    by_key = {each.key: each.values for each in found.maps}
    assert float(by_key["noise"].amax()) > 0
    images = reconstruct(scan, Settings(method=name))
    inside = images.noise_level > 0.5  # on the object's rim the two are resampled in another order
    assert float((by_key["noise"] - images.noise_level)[inside].abs().quantile(0.75)) < 1e-3
    for each in found.slices:
        assert (each.method, each.reference) == (name, "cs" if name == "dl" else "sense")
        assert 0.5 < each.lines.overall < 1.5  # the sensitivities of so small a scan are not quite right
        assert each.gain is not None
        assert each.gain[1] <= each.gain[0] <= 1.3
        assert each.held_out is not None
        assert each.held_out.noise < each.held_out.error
    assert found.verdict.startswith(f"Held-out lines ({name} against")
    assert found.verdict.endswith("of 2 slices.")


def test_a_bounded_image_never_deviates_by_more(make_scan, random_lines, random_network) -> None:
    random_network(3.0)
    scan = make_scan(counts=random_lines(120, 3, 18), n_y=120, n_x=100).scan
    (slice_,) = prepared_slices(scan, Settings(method="dl"))
    pair = Refit(Settings(method="dl"), "dl")(slice_.encoding, slice_.right_side)
    found = deviation(pair.image[0, :, 0], linear_of(slice_, pair.reference))
    assert 0.99 * BOUND < float(found.size.max()) <= BOUND * 1.001
    assert bool(found.at_bound.any())
    refit, _ = refit_of(slice_, Settings(method="dl"))
    assert refit.method == "cs"  # such an image contradicts its data


@pytest.mark.parametrize("name", ["dl", "cs"])
def test_the_images_are_those_that_were_delivered(make_scan, random_lines, random_network, name) -> None:
    random_network(0.01)
    scan = make_scan(n_slices=2, counts=random_lines(121, 3, 18), n_y=121, n_x=100).scan
    delivered = reconstruct(scan, Settings(method=name)).image
    for slice_, image in zip(prepared_slices(scan, Settings(method=name)), delivered, strict=True):
        _, pair = refit_of(slice_, Settings(method=name))
        torch.testing.assert_close(slice_.finished(pair.image), image, rtol=1e-3, atol=1e-2)


def test_where_the_network_is_not_used_the_maps_are_those_of_cs(make_scan, random_lines) -> None:
    small = make_scan(counts=random_lines(90, 3, 18), n_y=90, n_x=90).scan
    (slice_,) = prepared_slices(small, Settings(method="dl"))
    refit, _ = refit_of(slice_, Settings(method="dl"))
    assert (refit.method, refit.reference) == ("cs", "sense")


def test_what_has_no_maps(make_scan, random_lines) -> None:
    scan = make_scan(counts=random_lines(96, 2, 18)).scan
    with pytest.raises(SettingsError, match="the method is sense; they are made of cs and dl"):
        trust_maps(scan, Settings(method="sense"))
    counts = torch.ones(96)
    counts[:30] = 0
    found = trust_maps(make_scan(counts=counts).scan, Settings(method="cs"))
    assert found.maps == ()
    assert "not of 3-D and partial Fourier scans" in found.notes[0]
    assert TrustMaps((), ()).verdict.startswith("Held-out lines: no check")
    (alone,) = noise_alone(torch.ones(1, 4, 4)).maps
    assert alone.key == "noise"
