"""Training samples, made of drawn objects: those of knees take longer."""

from pathlib import Path

import numpy as np
import pytest
import torch

from knerve.datasets.training import lines, objects
from knerve.datasets.training.drawn_objects import drawn_object
from knerve.datasets.training.objects import Source, training_object
from knerve.datasets.training.samples import STRIP, STRIPS_PER_SCAN, Samples
from knerve.recon.learned.losses import REACH, gains
from knerve.recon.learned.unrolled import unfolded


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    made = Samples(Source(folder, 0), folder, 2, seed=4)
    made.make(1)
    return made


def test_samples_are_what_their_data_say(samples):
    assert len(samples) == 2 * STRIPS_PER_SCAN
    one = samples.one(STRIPS_PER_SCAN + 1)
    n_y = len(one.power)
    assert one.truth.shape == one.start.shape == one.right.shape == (STRIP, n_y)
    assert one.maps.shape[0] == STRIP
    # the truth explains the data up to noise, compressed sensing is near the truth, and not the truth
    noise = one.right - one.normal(one.truth[None])[0]
    assert float(noise.norm()) < float(one.right.norm())
    error = float(((one.start - one.truth) * one.weight).norm() / (one.truth * one.weight).norm())
    assert 0.002 < error < 0.5


def test_the_twin_has_weak_structures_more(samples):
    one = samples.one(STRIPS_PER_SCAN + 2)
    pair = one.pair()
    assert len(one.places) > 3
    assert float((pair.right[1] - pair.right[0]).norm()) > 0
    response = gains(pair.start[1] - pair.start[0], one.insert, one.places)
    assert -0.2 < float(response.median()) < 1.2


def test_what_is_stored_of_the_twin_is_what_its_data_say(samples):
    one = samples.one(STRIPS_PER_SCAN + 2)
    pair = one.pair()
    folded = pair.right - one.normal(pair.start)
    scale = float(one.twin_folded.abs().max())
    torch.testing.assert_close(one.twin_folded, folded[1] - folded[0], rtol=0, atol=0.02 * scale)
    d = unfolded(one.normal, folded)
    from_strip = d[1] - d[0]  # the stored one was made from the whole slice
    assert float((one.twin_unfolded - from_strip).norm() / one.twin_unfolded.norm()) < 0.3
    response = gains(pair.start[1] - pair.start[0], one.insert, one.places)
    inside = ((one.places > REACH) & (one.places < torch.tensor(one.insert.shape) - REACH - 1)).all(1)
    torch.testing.assert_close(one.gains[inside], response[inside], rtol=0.01, atol=0.01)


@pytest.mark.parametrize("kind", ["spread", "free", "regular"])
def test_lines_are_of_their_kind_and_hold_a_full_centre(kind, monkeypatch):
    monkeypatch.setattr(lines, "LINES", {kind: 1.0})
    random = np.random.default_rng(3)
    gaps = []
    for n_y in (380, 431, 520, 566):
        counts, (low, high) = lines.training_lines(n_y, 6.0, random)
        assert len(counts) == n_y
        assert bool(counts[low:high].all())
        assert low <= n_y // 2 < high
        gaps.append(torch.nonzero(counts).flatten().diff())
        if kind == "spread":
            assert int(gaps[-1].max()) <= 8 * n_y / float(counts.sum())
        if kind == "regular":
            assert len(gaps[-1].unique()) <= 4  # 1 in the centre, the step, and less at both its edges
    if kind == "free":
        assert any(float(each.max()) > 8 * each.float().mean() for each in gaps)


def test_same_seed_same_samples(samples, tmp_path: Path):
    again = Samples(Source(tmp_path, 0), tmp_path, 2, seed=4)
    first, second = (each.one(STRIPS_PER_SCAN) for each in (samples, again))
    assert torch.equal(first.start, second.start)
    assert torch.equal(first.truth, second.truth)


def test_objects_vary_and_are_not_negative():
    pictures = [drawn_object((96, 80), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    assert all(picture.shape == (96, 80) and picture.min() >= 0 for picture in pictures)


def test_objects_have_a_smooth_phase_and_air_around_them(tmp_path: Path):
    picture, pixel_mm = training_object(Source(tmp_path, 0), np.random.default_rng(3))
    assert 0 < pixel_mm < 1
    assert float(picture[0].abs().max()) == 0
    step = torch.angle(picture[:, 1:] * picture[:, :-1].conj())[picture[:, 1:].abs() * picture[:, :-1].abs() > 0.01]
    assert float(step.abs().max()) < 0.3


def without_and_with(name: str, seed: int, folder: Path, monkeypatch) -> tuple[torch.Tensor, torch.Tensor]:
    """An object of which no other chance is taken, and the same with what `name` is the share of."""
    for each in ("INVERTED", "ROUGH"):
        monkeypatch.setattr(objects, each, 0.0)
    plain, _ = training_object(Source(folder, 0), np.random.default_rng(seed))
    monkeypatch.setattr(objects, name, 1.0)
    return plain, training_object(Source(folder, 0), np.random.default_rng(seed))[0]


def test_some_objects_have_parts_of_opposite_sign(tmp_path: Path, monkeypatch):
    pictures = without_and_with("INVERTED", 5, tmp_path, monkeypatch)
    n_jumps = []
    for picture in pictures:
        pairs = picture[:, 1:] * picture[:, :-1].conj()
        n_jumps.append(int((torch.angle(pairs).abs() > 2.8)[pairs.abs() > 1e-4].sum()))
    assert n_jumps[0] == 0
    assert n_jumps[1] > 1000
    plain, inverted = (picture.abs() for picture in pictures)
    change = (plain - inverted).abs()  # near the brightness where the sign changes
    assert float(change.mean() / plain.mean()) < 0.2
    assert float((change < 1e-3).float().mean()) > 0.7


def test_some_objects_have_a_phase_that_changes_quickly(tmp_path: Path, monkeypatch):
    pictures = without_and_with("ROUGH", 7, tmp_path, monkeypatch)
    slopes = []
    for picture in pictures:
        pairs = picture[:, 1:] * picture[:, :-1].conj()
        slopes.append(float(torch.angle(pairs)[pairs.abs() > 0.01].square().mean().sqrt()))
    torch.testing.assert_close(*(picture.abs() for picture in pictures))
    assert slopes[1] > 1.5 * slopes[0]
