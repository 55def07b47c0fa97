from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from knerve.recon.learned.crops import crops_of
from knerve.recon.learned.errors import TrainingError
from knerve.recon.learned.losses import gains, lost_response, relative_error
from knerve.recon.learned.network import Architecture
from knerve.recon.learned.problem import PlainNormal
from knerve.recon.learned.recipe import Recipe
from knerve.recon.learned.sample import TrainingSample
from knerve.recon.learned.training import Trainer
from knerve.recon.learned.under_way import SamplesUnderWay
from knerve.recon.learned.unrolled import unfolded

RECIPE = Recipe(
    architecture=Architecture(widths=(6, 8, 8)),
    n_scans=4,
    n_validation=1,
    first_steps=12,
    first_batch=3,
    first_twins=1,
    first_crop=(24, 24),
    second_steps=4,
    reduced=False,
)


def sample(number: int) -> TrainingSample:
    """Smooth truth, a start with noise, a weak spot."""
    generator = torch.Generator().manual_seed(number)
    n_x, n_y = 32, 36
    x, y = torch.meshgrid(torch.linspace(-1, 1, n_x), torch.linspace(-1, 1, n_y), indexing="ij")
    truth = (40 * torch.exp(-(x**2 + y**2) * (1 + number))).to(torch.complex64)
    error = torch.randn(n_x, n_y, generator=generator, dtype=torch.complex64)
    maps = torch.ones(n_x, 1, n_y, dtype=torch.complex64)
    normal = PlainNormal(maps, (torch.rand(n_y, generator=generator) < 0.6).float())
    insert = torch.zeros(n_x, n_y, dtype=torch.complex64)
    insert[10:12, 10:12] = 4
    right = normal(truth[None])[0]
    start = truth + error
    folded = right - normal(start[None])[0]
    twin_folded = normal(0.7 * insert[None])[0]
    d, twin_d = unfolded(normal, torch.stack([folded, folded + twin_folded]))
    return TrainingSample(
        maps=torch.view_as_real(maps).half(),
        power=normal.power,
        right=right,
        start=start,
        folded=folded,
        unfolded=d,
        twin_start=0.3 * insert,
        twin_folded=twin_folded,
        twin_unfolded=twin_d - d,
        noise=torch.ones(n_x, n_y),
        truth=truth,
        insert=insert,
        weight=torch.ones(n_x, n_y),
        places=torch.tensor([[10, 10]]),
        gains=torch.tensor([0.3]),
    )


@dataclass
class FewSamples:
    """Four of them."""

    def __len__(self) -> int:
        return 4

    def one(self, number: int) -> TrainingSample:
        """Sample of this number."""
        return sample(number)


def trainer(folder: Path, recipe: Recipe = RECIPE) -> Trainer:
    return Trainer(recipe, FewSamples(), folder, lambda _: None)


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([values.flatten() for values in model.parameters()])


def test_training_reduces_the_error(tmp_path: Path) -> None:
    learner = trainer(tmp_path, replace(RECIPE, first_steps=60, second_steps=0, first_rate=0.05))
    before = learner.validation_error()
    assert learner.run()
    assert before == pytest.approx(1.0)
    assert learner.validation_error() < 0.95


@pytest.mark.parametrize("step", [9, 12, 17, 26])
def test_a_resumed_training_ends_as_an_unbroken_one(tmp_path: Path, step: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = trainer(tmp_path / "a")
    assert whole.run()
    broken = trainer(tmp_path / "b")
    for _ in range(step):
        broken.advance()
    broken.save()
    resumed = trainer(tmp_path / "b")
    assert resumed.resume()
    assert resumed.step == step
    assert resumed.run()
    assert torch.equal(weights(whole.model), weights(resumed.model))
    assert torch.equal(weights(whole.averaged), weights(resumed.averaged))


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).save()
    with pytest.raises(TrainingError, match="is of another recipe"):
        trainer(tmp_path, replace(RECIPE, seed=1)).resume()


def test_networks_learn_one_after_the_other_and_then_together(tmp_path: Path) -> None:
    learner = trainer(tmp_path)
    moved = []
    for _ in range(RECIPE.n_steps):
        before = [weights(network).clone() for network in learner.model.networks]
        stage = learner.stage
        error, response = learner.advance().tolist()
        assert error > 0
        assert response >= 0
        if learner.step not in (RECIPE.first_steps + 1, 2 * RECIPE.first_steps + 1):  # where averages take over
            after = [weights(network) for network in learner.model.networks]
            moved.append((stage, *(not torch.equal(*pair) for pair in zip(before, after, strict=True))))
    assert set(moved) == {(0, True, False), (1, False, True), (2, True, True)}


def test_a_later_network_starts_from_what_the_first_one_made(tmp_path: Path) -> None:
    learner = trainer(tmp_path, replace(RECIPE, first_steps=60, first_rate=0.05))
    for _ in range(60):
        learner.advance()
    alone = learner.validation_error()
    for _ in range(60):
        learner.advance()
    both = learner.validation_error()
    assert both < alone < 0.95
    stored = sorted(path.name for path in (tmp_path / "stage-1").iterdir())
    assert stored == [f"sample-{number:06d}.pt" for number in (1, 2, 3)]


def test_samples_under_way_are_what_the_networks_make_of_the_sample_and_of_its_twin(tmp_path: Path) -> None:
    model = trainer(tmp_path).averaged
    torch.nn.init.normal_(model.networks[0].tail.weight, std=0.1)
    under_way = SamplesUnderWay(FewSamples(), tmp_path / "made", model, 1, reduced=False)
    one, made = sample(1), under_way.one(1)
    pair = one.pair()
    folded = pair.right - one.normal(pair.start)
    with torch.no_grad():
        image = model.refined(0, pair.start, unfolded(one.normal, folded), folded, pair.noise)
    assert float((image - pair.start).abs().max()) > 0.1
    torch.testing.assert_close(made.start, image[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(made.start + made.twin_start, image[1], rtol=1e-3, atol=1e-2)
    folded = pair.right - one.normal(image)
    torch.testing.assert_close(made.folded, folded[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(made.folded + made.twin_folded, folded[1], rtol=1e-3, atol=1e-2)
    assert torch.equal(made.gains, one.gains)


def test_samples_come_back_from_disk(tmp_path: Path) -> None:
    made = sample(2)
    made.save(tmp_path / "one.pt")
    read = TrainingSample.load(tmp_path / "one.pt")
    torch.testing.assert_close(read.truth, made.truth)
    torch.testing.assert_close(read.folded, made.folded, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(read.pair().right, made.pair().right, rtol=1e-3, atol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["one.pt"]


def test_error_of_the_start_is_one() -> None:
    one = sample(1)
    weight = one.weight[None]
    error = relative_error(one.start[None], one.truth[None], one.start[None], weight)
    assert float(error) == pytest.approx(1.0)
    assert float(relative_error(one.truth[None], one.truth[None], one.start[None], weight)) < 1e-3


def test_errors_across_the_phase_do_not_count() -> None:
    ones = torch.ones(1, 24, 24)
    truth = 40 * ones * torch.polar(torch.tensor(1.0), torch.tensor(0.7))
    along, across = (truth + turn * truth / 40 for turn in (1, 1j))
    errors = [float(relative_error(image, truth, along, ones)) for image in (along, across)]
    assert errors == [pytest.approx(1.0), pytest.approx(0.0, abs=1e-3)]


def test_only_what_is_lost_is_punished() -> None:
    one = sample(1)
    losses = [
        float(lost_response(factor * one.insert, one.insert, one.places, one.gains)) for factor in (0.1, 0.45, 1.5)
    ]
    assert losses == [pytest.approx(0.3**2), 0.0, 0.0]
    assert gains(0.3 * one.insert, one.insert, one.places).tolist() == pytest.approx([0.3])


def test_crops_hold_what_their_samples_hold_and_twins_what_theirs_do() -> None:
    one = sample(1)
    crops = crops_of([one, sample(2)], (24, 24), np.random.default_rng(1))
    both = crops.with_twins(1)
    assert both.start.shape == (3, 24, 24)
    torch.testing.assert_close(both.start[2] - both.start[0], crops.twin_start[0])
    torch.testing.assert_close(both.folded[2] - both.folded[0], crops.twin_folded[0])
    torch.testing.assert_close(both.truth[2] - both.truth[0], crops.insert[0])
    assert torch.equal(both.noise[2], both.noise[0])
    places = crops.places(0)
    assert len(places) == 1
    assert float(crops.gains[0, places[0, 0], places[0, 1]]) == pytest.approx(0.3)
    assert gains(crops.twin_start[0], crops.insert[0], places).tolist() == pytest.approx([0.3])


def test_structures_at_the_edge_of_a_crop_do_not_count() -> None:
    crops = crops_of([sample(1)], (13, 13), np.random.default_rng(0))
    assert len(crops.places(0)) == 0


def test_a_stage_can_be_made_longer_before_its_rate_falls(tmp_path: Path) -> None:
    short, longer = (trainer(tmp_path, replace(RECIPE, first_steps=n, falling_steps=4)) for n in (9, 20))
    for learner in (short, longer):
        for _ in range(5):
            learner.advance()
    assert torch.equal(weights(short.model), weights(longer.model))
    for learner in (short, longer):
        for _ in range(3):
            learner.advance()
    assert not torch.equal(weights(short.model), weights(longer.model))
