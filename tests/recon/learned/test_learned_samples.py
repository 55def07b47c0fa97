"""Training samples, made of drawn objects: those of knees take longer."""

from pathlib import Path

import numpy as np
import pytest
import torch

from knerve.datasets.training.drawn_objects import drawn_object
from knerve.datasets.training.objects import Source, training_object
from knerve.datasets.training.samples import STRIP, STRIPS_PER_SCAN, Samples
from knerve.recon.learned.losses import gains


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
